"""The names of the services. This module imports nothing: the command line needs it at once."""

from typing import Final, Literal

ServiceName = Literal["feeds", "observables", "notifications", "mitre", "scheduler", "gateway"]
SERVICES: Final[tuple[ServiceName, ...]] = (
    "feeds",
    "observables",
    "notifications",
    "mitre",
    "scheduler",
    "gateway",
)

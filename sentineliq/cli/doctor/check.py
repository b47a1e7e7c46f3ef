"""The result of one health check."""

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "look", "problem"]


@dataclass(frozen=True)
class Check:
    """One component, and how it is.

    Attributes:
        status: ok; look: it works, and you should look at it; problem: it does not work.
        seen: what the check saw.
        step: what to do next; empty where there is nothing to do.
    """

    subject: str
    status: Status
    seen: str
    step: str = ""

    @property
    def is_usable(self) -> bool:
        """Whether checks that need the component make sense."""
        return self.status != "problem"

    def as_dict(self) -> dict[str, str]:
        """The check for programs."""
        return asdict(self)


def start_step(variable: str) -> str:
    """The next step where a server does not answer."""
    return f"start it (`sentineliq up`), or correct {variable}"

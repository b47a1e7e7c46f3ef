"""Processes of the mitre service: `python -m services.mitre api|worker|consumer|migrate`."""

from collections.abc import Sequence

from services.mitre import NAME
from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    NAME,
    api="services.mitre.app:create_app",
    celery="services.mitre.worker:celery",
    consumers="services.mitre.consumers:SUBSCRIPTIONS",
    sweeps="services.mitre.consumers:SWEEPS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

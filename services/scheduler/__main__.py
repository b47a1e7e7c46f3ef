"""Processes of the scheduler service: `python -m services.scheduler api|worker|…|beat`."""

from collections.abc import Sequence

from services.scheduler import NAME
from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    NAME,
    api="services.scheduler.app:create_app",
    celery="services.scheduler.worker:celery",
    consumers="services.scheduler.consumers:SUBSCRIPTIONS",
    sweeps="services.scheduler.consumers:SWEEPS",
    extra={"beat": "services.scheduler.beat.scheduler:run"},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

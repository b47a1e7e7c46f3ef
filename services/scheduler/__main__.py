"""Processes of the scheduler service: `python -m services.scheduler api|worker|consumer|migrate|beat`."""

from collections.abc import Sequence

from shared.process import Service
from shared.process import main as run

SERVICE = Service(
    "scheduler",
    api="services.scheduler.api:create_app",
    celery="services.scheduler.tasks:celery",
    consumers="services.scheduler.consumers:SUBSCRIPTIONS",
    extra={"beat": "services.scheduler.beat:run"},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

"""`python -m services.notifications api|worker|consumer|migrate`."""

from collections.abc import Sequence

from services.notifications import NAME
from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    NAME,
    api="services.notifications.app:create_app",
    celery="services.notifications.worker:celery",
    consumers="services.notifications.consumers:SUBSCRIPTIONS",
    sweeps="services.notifications.consumers:SWEEPS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the process that the command line names."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

"""`python -m services.notifications api|worker|consumer|migrate`."""

from collections.abc import Sequence

from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    "notifications",
    api="services.notifications.app:create_app",
    celery="services.notifications.deliveries.tasks:celery",
    consumers="services.notifications.consumers:SUBSCRIPTIONS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the process that the command line names."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

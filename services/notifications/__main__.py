"""`python -m services.notifications api|worker|consumer|migrate`."""

from collections.abc import Sequence

from shared.process import Service
from shared.process import main as run

SERVICE = Service(
    "notifications",
    api="services.notifications.api:create_app",
    celery="services.notifications.tasks:celery",
    consumers="services.notifications.consumers:SUBSCRIPTIONS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the process that the command line names."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

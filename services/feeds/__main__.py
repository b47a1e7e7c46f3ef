"""Processes of the feeds service: `python -m services.feeds api|worker|consumer|migrate`."""

from collections.abc import Sequence

from shared.process import Service
from shared.process import main as run

SERVICE = Service(
    "feeds",
    api="services.feeds.api:create_app",
    celery="services.feeds.tasks:celery",
    consumers="services.feeds.consumers:SUBSCRIPTIONS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

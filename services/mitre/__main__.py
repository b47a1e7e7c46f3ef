"""Processes of the mitre service: `python -m services.mitre api|worker|consumer|migrate`."""

from collections.abc import Sequence

from shared.process import Service
from shared.process import main as run

SERVICE = Service(
    "mitre",
    api="services.mitre.api:create_app",
    celery="services.mitre.tasks:celery",
    consumers="services.mitre.consumers:SUBSCRIPTIONS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

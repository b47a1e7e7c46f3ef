"""Processes of the gateway: `python -m services.gateway api|worker|consumer|migrate`."""

from collections.abc import Sequence

from services.gateway import NAME
from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    NAME,
    api="services.gateway.app:create_app",
    celery="services.gateway.worker:celery",
    consumers="services.gateway.consumers:SUBSCRIPTIONS",
    sweeps="services.gateway.consumers:SWEEPS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

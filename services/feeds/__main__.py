"""Processes of the feeds service: `python -m services.feeds api|worker|consumer|migrate`."""

from collections.abc import Sequence

from services.feeds import NAME
from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    NAME,
    api="services.feeds.app:create_app",
    celery="services.feeds.worker:celery",
    consumers="services.feeds.consumers:SUBSCRIPTIONS",
    release="services.feeds.runs.execution:release_leases",
    sweeps="services.feeds.consumers:SWEEPS",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

"""The processes of the observables service.

`python -m services.observables api|worker|consumer|trends|migrate` runs one of them.
"""

from collections.abc import Sequence

from shared.runtime.process import ServiceDefinition
from shared.runtime.process import main as run

SERVICE = ServiceDefinition(
    "observables",
    api="services.observables.app:create_app",
    celery="services.observables.worker:celery",
    consumers="services.observables.consumers:SUBSCRIPTIONS",
    sweeps="services.observables.consumers:SWEEPS",
    groups={"lists": "services.observables.consumers:LIST_SUBSCRIPTIONS"},
    extra={"trends": "services.observables.trends.process:run"},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one of the service's processes."""
    run(SERVICE, arguments)


if __name__ == "__main__":
    main()

"""Who may do what in the cluster: the least that each service, and the command line, needs.

A service writes its own topics, the audit, and the dead letters of what it consumes; it reads what
it consumes. All may see which topics there are, and make those of the catalogue that are missing: a
service whose topic was deleted waits for nobody. Changing a topic's settings, deleting, and giving
rights is the administrator's, whose login migrations have.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import Final, NamedTuple

from shared.events import CATALOGUE
from shared.events.envelope import DEAD
from shared.keys import OPERATOR
from shared.service_names import SERVICES

ADMINISTRATOR: Final = "admin"
LOGINS: Final = (*SERVICES, OPERATOR, ADMINISTRATOR)
"""All logins: one for each service, that of the command line, and that of migrations."""

_REVOKED: Final = "gateway.revoked.v1"
CONSUMED: Final[dict[str, tuple[str, ...]]] = {
    "feeds": ("observables.applied.v1", "observables.posted.v1", _REVOKED),
    "observables": (
        "feeds.observed.v1",
        "feeds.finished.v1",
        "mitre.techniques.v1",
        _REVOKED,
        "observables.changed.v1",
        "observables.enriched.v1",
    ),
    "notifications": (
        "observables.changed.v1",
        "observables.trending.v1",
        "observables.lists.v1",
        "feeds.health.v1",
        "feeds.finished.v1",
        "mitre.released.v1",
        "scheduler.fired.v1",
        "notifications.delivered.v1",
        _REVOKED,
    ),
    "mitre": (_REVOKED,),
    "scheduler": (_REVOKED,),
    "gateway": (
        "feeds.finished.v1",
        "feeds.health.v1",
        "observables.changed.v1",
        "observables.applied.v1",
        "observables.enriched.v1",
        "observables.trending.v1",
        "observables.lists.v1",
        "notifications.delivered.v1",
        "mitre.released.v1",
        "scheduler.fired.v1",
    ),
}
"""The topics that a service reads: its subscriptions, and what its trends and policies look at.

Of the gateway: what pages of the console hear (`services.gateway.console.live_events`)."""

_AUDIT: Final = "audit.recorded.v1"
_GROUPS: Final = {
    **{service: (f"sentineliq.{service}",) for service in SERVICES},
    "observables": (
        "sentineliq.observables",
        "sentineliq.observables.trends",
        "sentineliq.observables.lists",
    ),
}
_WATCHED: Final = {"feeds": ("sentineliq.observables",)}
"""Groups whose progress a service waits for (`shared.kafka.backpressure`)."""


class Resource(IntEnum):
    """What a right is about, as Kafka's protocol counts."""

    TOPIC = 2
    GROUP = 3


class Operation(IntEnum):
    """What a right allows, as Kafka's protocol counts."""

    READ = 3
    WRITE = 4
    CREATE = 5
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


class Right(NamedTuple):
    """One entry of the cluster's list of rights.

    Attributes:
        login: who has it.
        name: of the topic or group, with the installation's prefix.
    """

    login: str
    resource: Resource
    name: str
    operation: Operation


def rights(prefix: str = "") -> list[Right]:
    """Return all rights.

    Args:
        prefix: of the names of the installation's topics and groups.
    """
    return [
        right._replace(name=prefix + right.name)
        for right in (*_rights_of_services(), *_rights_of_operator())
    ]


def _rights_of_services() -> Iterator[Right]:
    topics = [topic.name for topic in CATALOGUE]
    for service in SERVICES:
        for topic in topics:
            for name in (topic, f"{topic}{DEAD}"):
                yield Right(service, Resource.TOPIC, name, Operation.DESCRIBE)
                yield Right(service, Resource.TOPIC, name, Operation.CREATE)
            if topic.startswith(f"{service}.") or topic == _AUDIT:
                yield Right(service, Resource.TOPIC, topic, Operation.WRITE)
        for topic in CONSUMED[service]:
            yield Right(service, Resource.TOPIC, topic, Operation.READ)
            yield Right(service, Resource.TOPIC, f"{topic}{DEAD}", Operation.WRITE)
        for group in _GROUPS[service]:
            yield Right(service, Resource.GROUP, group, Operation.READ)
        for group in _WATCHED.get(service, ()):
            yield Right(service, Resource.GROUP, group, Operation.DESCRIBE)


def _rights_of_operator() -> Iterator[Right]:
    """Looking at everything, and sending dead letters again."""
    for topic in CATALOGUE:
        for name in (topic.name, topic.dead):
            for operation in (Operation.READ, Operation.WRITE, Operation.DESCRIBE_CONFIGS):
                yield Right(OPERATOR, Resource.TOPIC, name, operation)
    for groups in _GROUPS.values():
        for group in groups:
            yield Right(OPERATOR, Resource.GROUP, group, Operation.DESCRIBE)

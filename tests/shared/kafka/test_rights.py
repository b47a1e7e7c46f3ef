"""The rights in the cluster are what each service needs, and no more."""

import importlib

import pytest

from services.gateway.console.live_events import LIVE_TOPICS
from shared.events import CATALOGUE
from shared.kafka.logins import ITERATIONS
from shared.kafka.rights import (
    ADMINISTRATOR,
    CONSUMED,
    LOGINS,
    Operation,
    Resource,
    Right,
    rights,
)
from shared.keys import OPERATOR
from shared.settings import SERVICES

LOOKED_AT = {"observables": {"observables.enriched.v1"}, "gateway": set(LIVE_TOPICS)}
"""Topics that a service reads beside its subscriptions.

The trends count enrichers' answers; pages of the console hear what is new.
"""


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_what_it_subscribes_to(service: str) -> None:
    module = importlib.import_module(f"services.{service}.consumers")
    subscribed = {subscription.topic.name for subscription in module.SUBSCRIPTIONS}
    assert set(CONSUMED[service]) == subscribed | LOOKED_AT.get(service, set())


def names(login: str, operation: Operation) -> set[str]:
    return {
        right.name
        for right in rights()
        if (right.login, right.operation, right.resource) == (login, operation, Resource.TOPIC)
    }


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_its_own_topics_and_dead_letters_of_what_it_reads(service: str) -> None:
    own = {topic.name for topic in CATALOGUE if topic.name.startswith(f"{service}.")}
    letters = {f"{topic}.dead" for topic in CONSUMED[service]}
    assert names(service, Operation.WRITE) == own | letters | {"audit.recorded.v1"}
    assert names(service, Operation.READ) == set(CONSUMED[service])


def test_nobody_but_the_operator_reads_the_audit_and_the_dead_letters() -> None:
    for service in SERVICES:
        assert "audit.recorded.v1" not in names(service, Operation.READ)
        assert not [name for name in names(service, Operation.READ) if name.endswith(".dead")]
    assert {topic.dead for topic in CATALOGUE} < names(OPERATOR, Operation.READ)


def test_every_right_has_the_prefix_and_a_login() -> None:
    entries = rights("x.")
    assert len(set(entries)) == len(entries) == len(rights())
    assert {entry.login for entry in entries} == set(LOGINS) - {ADMINISTRATOR}
    assert all(entry.name.startswith("x.") for entry in entries)
    assert Right("mitre", Resource.GROUP, "x.sentineliq.mitre", Operation.READ) in entries
    assert ITERATIONS >= 4096

"""Who has stolen a connection, and no key: nothing of it is told to anybody but the operators."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from aiokafka import AIOKafkaProducer

from sentineliq.cli.context import CommandContext
from sentineliq.local.stack import Stack
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, Indicator, IndicatorsObserved
from shared.kafka.cluster import client_options
from shared.kafka.topics import bucket_key
from shared.settings import Settings
from shared.stix import bucket, observable_uuid
from tests.cli.conftest import CommandLine, eventually
from tests.signed_events import sign_headers, signed_headers

pytestmark = pytest.mark.timeout(300)  # the first test waits for the stack

FORGED = "192.0.2.203"
"""An address that no list of the starter names: another test loads those into the same stack."""
TASK = "observables.tasks.prune_tables"


def login(stack: Stack, service: str) -> Settings:
    """The settings of a service, with its login at Kafka."""
    stored = CommandContext(stack.data_dir, "acme").settings
    variables = stack.kafka_login(service)
    changes = {
        "kafka_username": variables["KAFKA_USERNAME"],
        "kafka_password": variables["KAFKA_PASSWORD"],
    }
    return Settings.model_validate(stored.model_dump() | changes)


def chunk(tenant: str) -> Event[IndicatorsObserved]:
    data = IndicatorsObserved(
        FeedRef(uuid4(), "forged", 100),
        uuid4(),
        bucket(str(UUID(bytes=observable_uuid("ipv4-addr", FORGED)))),
        0,
        "2026-11-30T10:00:00Z",
        confidence=100,
        seen=[Indicator("ipv4-addr", FORGED)],
    )
    return Event(OBSERVED, data, tenant, "/services/feeds", bucket_key(data.bucket))


async def write(settings: Settings, events: list[tuple[Event[Any], Any]]) -> None:
    async with AIOKafkaProducer(**client_options(settings)) as producer:
        for event, headers in events:
            await producer.send_and_wait(
                event.topic.name, event.payload(), event.key, headers=headers
            )


def forgeries(settings: Settings) -> list[tuple[Event[Any], Any]]:
    """Chunks as feeds would write them: unsigned, edited, by another service, for the platform."""
    unsigned = chunk("acme")
    public = chunk("public")
    other = chunk("acme")
    by_mitre = sign_headers(
        settings, "mitre.released.v1", other.key, other.payload(), other.headers()
    )
    edited = chunk("globex")
    signed = signed_headers(settings, edited)
    as_acme = [(name, b"acme" if name == "ce_tenant" else value) for name, value in signed]
    as_platform = [(name, b"*" if name == "ce_tenant" else value) for name, value in signed]
    return [
        (unsigned, unsigned.headers()),
        (public, public.headers()),
        (other, by_mitre),
        (edited, as_acme),
        (edited, as_platform),
    ]


def refusals(cli: CommandLine, action: str) -> list[Any]:
    listed = cli.as_json("audit", "list", "--action", action, tenant="public")
    return [entry for entry in listed if entry["service"] == "observables"]


def test_no_lookup_tells_of_forged_events(cli: CommandLine, running_stack: Stack) -> None:
    settings = login(running_stack, "feeds")
    before = {letter["id"] for letter in cli.as_json("dead", "list")}
    forged = forgeries(settings)
    asyncio.run(write(settings, forged))

    def letters() -> list[Any]:
        listed = cli.as_json("dead", "list")
        return [letter for letter in listed if letter["id"] not in before]

    eventually(lambda: len(letters()) == len(forged), 30)
    assert all(letter["reason"].startswith("Unauthentic") for letter in letters())
    eventually(lambda: refusals(cli, "records.refuse"), 30)
    count = sum(int(entry["details"]["count"]) for entry in refusals(cli, "records.refuse"))
    assert count == len(forged)
    for tenant in ("acme", "globex", "public"):
        assert cli.as_json("lookup", FORGED, tenant=tenant)[0]["observable"] is None
    # The same, from who may: it is told.
    good = chunk("acme")
    asyncio.run(write(settings, [(good, signed_headers(settings, good))]))
    eventually(lambda: cli.as_json("lookup", FORGED)[0]["observable"], 30)


def test_no_worker_runs_forged_tasks(cli: CommandLine, running_stack: Stack) -> None:
    settings = CommandContext(running_stack.data_dir, "acme").settings
    message = {
        "body": "W1tdLCB7fSwge31d",
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK,
            "id": str(uuid4()),
            "tenant": "*",
            "actor": "system",
            "retries": 0,
            "timelimit": [None, None],
            "argsrepr": "()",
            "kwargsrepr": "{}",
        },
        "properties": {
            "correlation_id": "1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "observables"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": str(uuid4()),
        },
    }
    with redis.Redis.from_url(settings.celery_broker_url.get_secret_value()) as broker:
        for _ in range(20):
            broker.lpush("observables", json.dumps(message))
    [entry] = eventually(lambda: refusals(cli, "tasks.refuse"), 30)
    assert (entry["details"]["count"], entry["details"]["task"]) == ("20", TASK)

"""Who has no login, or another service's, can neither read nor write a topic."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    TopicAuthorizationFailedError,
)
from pydantic import SecretStr

from sentineliq.local.kafka import Kafka
from sentineliq.local.secrets import load_secrets
from sentineliq.local.stack import Infrastructure
from shared.errors import Unavailable
from shared.events import CATALOGUE
from shared.kafka import logins
from shared.kafka.cluster import administrator, client_options
from shared.kafka.logins import MECHANISMS, Address, BrokerConnection
from shared.kafka.rights import ADMINISTRATOR, CONSUMED, LOGINS
from shared.kafka.topics import create_missing_topics, ensure_topics
from shared.settings import SERVICES, Settings

OBSERVED = "feeds.observed.v1"
TIMEOUT = {"request_timeout_ms": 3_000}


@dataclass
class Cluster:
    """A Kafka with the logins of a stack."""

    stack: Infrastructure

    def settings(self, login: str | None, **changes: Any) -> Settings:
        """The settings of a process with a login; without any for None."""
        variables = self.stack.environment | self.stack.kafka_login(login or "feeds")
        values: dict[str, Any] = {
            "database_url": SecretStr("x"),
            "celery_broker_url": SecretStr("x"),
            "secret_key": SecretStr("x" * 40),
            "data_dir": Path("/nowhere"),
            "kafka_bootstrap_servers": variables["KAFKA_BOOTSTRAP_SERVERS"],
        }
        if login is not None:
            values |= {
                "kafka_security_protocol": "SASL_PLAINTEXT",
                "kafka_username": login,
                "kafka_password": SecretStr(variables["KAFKA_PASSWORD"]),
            }
        return Settings(**values | changes)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    with Infrastructure(folder).running() as stack:
        fresh = Cluster(stack)
        asyncio.run(ensure_topics(fresh.settings(ADMINISTRATOR)))
        yield fresh


async def read(settings: Settings, topic: str) -> int:
    """The number of records that a client sees in partition 0."""
    consumer = AIOKafkaConsumer(**client_options(settings), **TIMEOUT)
    try:
        await consumer.start()
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        await consumer.seek_to_beginning(place)
        return len((await consumer.getmany(timeout_ms=1_000)).get(place, []))
    finally:
        await consumer.stop()


async def write(settings: Settings, topic: str) -> None:
    producer = AIOKafkaProducer(**client_options(settings), **TIMEOUT, enable_idempotence=True)
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"x", key=b"k", partition=0)
    finally:
        await producer.stop()


Access = Callable[[Settings, str], Awaitable[Any]]


def is_refused(access: Access, settings: Settings, topic: str) -> bool:
    async def attempt() -> bool:
        try:
            async with asyncio.timeout(15):
                await access(settings, topic)
        except (TopicAuthorizationFailedError, KafkaConnectionError, KafkaError, TimeoutError):
            return True
        return False

    return asyncio.run(attempt())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_username": "feeds"},
        {"kafka_security_protocol": "SASL_PLAINTEXT", "kafka_username": "nobody"},
        {
            "kafka_security_protocol": "SASL_PLAINTEXT",
            "kafka_username": "broker",
            "kafka_sasl_mechanism": "PLAIN",
        },
    ],
    ids=["no login", "a wrong password", "a login that is none", "the broker's name"],
)
def test_who_has_no_credential_reads_and_writes_nothing(
    cluster: Cluster, changes: dict[str, Any]
) -> None:
    if changes:
        changes = changes | {"kafka_password": SecretStr("guessed")}
    settings = cluster.settings(None, **changes)
    for access in (read, write):
        assert is_refused(access, settings, OBSERVED)

    async def administer() -> None:
        async with asyncio.timeout(10), administrator(settings) as admin:
            await admin.list_topics()

    with pytest.raises((KafkaError, TimeoutError)):
        asyncio.run(administer())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_login_has_two_passwords_until_the_one_before_ends(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `kafka-logins` of compose.yaml does, with the next passwords, and then with `end`."""
    former = cluster.settings("feeds")
    following = cluster.settings(
        "feeds",
        kafka_sasl_mechanism=MECHANISMS[1],
        kafka_password=SecretStr("the next one"),
    )
    variables = cluster.stack.environment | {
        "KAFKA_USERNAME": "broker",
        "KAFKA_PASSWORD": load_secrets(cluster.stack.data_dir).kafka_password,
        "KAFKA_SASL_MECHANISM": MECHANISMS[1],
        **{f"KAFKA_PASSWORD_{login.upper()}": "the next one" for login in LOGINS},
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_refused(write, following, OBSERVED)
    logins.main()
    for settings in (former, following):
        assert not is_refused(write, settings, OBSERVED)
    # Back to what the other tests have: the password for the mechanism of before stays.
    monkeypatch.setenv("KAFKA_SASL_MECHANISM", MECHANISMS[0])
    logins.main(["end"])
    assert "SCRAM-SHA-512 have ended" in capsys.readouterr().out
    # The broker answers before it has applied what it has written to its log.
    until(lambda: is_refused(write, following, OBSERVED))
    assert not is_refused(write, former, OBSERVED)


def test_a_new_password_is_awaited_until_the_broker_takes_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, _, port = cluster.settings("feeds").kafka_bootstrap_servers.partition(":")
    address = Address(host, int(port))
    password = load_secrets(cluster.stack.data_dir).kafka_password
    passwords = {"mitre": "a late one"}
    with closing(BrokerConnection(address, password)) as connection, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(logins.await_passwords, address, passwords, MECHANISMS[1])
        time.sleep(0.5)
        assert not waiting.done()
        connection.set_passwords(passwords, MECHANISMS[1])
        waiting.result(timeout=60)
        connection.end_passwords(passwords, MECHANISMS[1])
    monkeypatch.setattr(logins, "_WAIT_SECONDS", 0.3)
    with pytest.raises(Unavailable, match="new password of mitre"):
        logins.await_passwords(address, {"mitre": "never set"}, MECHANISMS[1])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_reads_and_writes_what_is_its_own_alone(cluster: Cluster, service: str) -> None:
    settings = cluster.settings(service)
    for name in (OBSERVED, "observables.changed.v1", "audit.recorded.v1", f"{OBSERVED}.dead"):
        reads = name in CONSUMED[service]
        owner = name.partition(".")[0]
        letters = name.endswith(".dead") and name.removesuffix(".dead") in CONSUMED[service]
        writes = owner == "audit" or (owner == service and not name.endswith(".dead")) or letters
        assert is_refused(write, settings, name) == (not writes), (service, name)
        assert is_refused(read, settings, name) == (not reads), (service, name)


def test_a_service_joins_its_own_group_alone(cluster: Cluster) -> None:
    async def join(service: str, group: str) -> None:
        consumer = AIOKafkaConsumer(
            "observables.changed.v1",
            **client_options(cluster.settings(service)),
            **TIMEOUT,
            group_id=group,
        )
        try:
            async with asyncio.timeout(20):
                await consumer.start()
                await consumer.getmany(timeout_ms=500)
        finally:
            await consumer.stop()

    asyncio.run(join("notifications", "sentineliq.notifications"))
    with pytest.raises(GroupAuthorizationFailedError):
        asyncio.run(join("notifications", "sentineliq.observables"))


def test_a_service_makes_missing_topics_and_changes_none(cluster: Cluster) -> None:
    settings = cluster.settings("mitre")

    async def scenario() -> list[str]:
        async with administrator(cluster.settings(ADMINISTRATOR)) as admin:
            await admin.delete_topics(["scheduler.fired.v1"])
            while "scheduler.fired.v1" in await admin.list_topics():
                await asyncio.sleep(0.1)
        async with administrator(settings) as admin:
            refused = await admin.delete_topics(["feeds.finished.v1"])
            assert [code for _, code in refused.topic_error_codes] == [
                TopicAuthorizationFailedError.errno
            ]
            seen = set(await admin.list_topics())
            assert {topic.name for topic in CATALOGUE} - seen == {"scheduler.fired.v1"}
        return await create_missing_topics(settings)

    assert asyncio.run(scenario()) == ["scheduler.fired.v1"]


def test_a_stopped_and_started_broker_keeps_its_logins(cluster: Cluster) -> None:
    """What prepares them again changes nothing, and costs little."""
    settings = cluster.settings("feeds")
    host, _, port = settings.kafka_bootstrap_servers.partition(":")
    server = cluster.stack._servers()["KAFKA_BOOTSTRAP_SERVERS"]
    started = time.monotonic()
    assert server.is_ready()
    assert time.monotonic() - started < 5
    assert not is_refused(write, settings, OBSERVED)
    assert isinstance(server, Kafka)
    connection = BrokerConnection(Address(host, int(port)), server.password)
    assert connection.brokers() == 1
    connection.close()

"""The Kafka channel, against the real broker, also behind a detour that loses its answers."""

import asyncio
import json
import time
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import NewTopic
from hypothesis import given
from pydantic import ValidationError

from services.notifications.channel_types import kafka
from services.notifications.channel_types.attempt import attempt, channel_client
from services.notifications.channel_types.kafka import KafkaChannel, KafkaConfig
from services.notifications.deliveries.retry_policy import seconds_to_retry
from shared.errors import InvalidInput
from shared.http.client import GuardedClient
from shared.http.guard import OutboundGrant
from shared.kafka.clients import running
from shared.kafka.cluster import administrator, client_options
from tests.notifications.channel_types.certificates import loopback_certificate
from tests.notifications.channel_types.contract import (
    ALLOW,
    ChannelContract,
    notification,
    send,
)
from tests.notifications.channel_types.hostile import notifications
from tests.notifications.channel_types.loopback import serving
from tests.notifications.channel_types.test_lines import HOSTILE

_PRODUCE = b"\0\0"


class _Silent(asyncio.Protocol):
    """Takes a connection and never answers: a broker that is frozen."""

    transport = None

    def connection_made(self, transport):
        self.transport = transport


class _Detour(GuardedClient):
    """A way to the broker that may lose the answers to the records that it was handed."""

    def __init__(self, broker, *, loses_answers=False):
        super().__init__(ALLOW)
        self.broker = broker
        self.loses_answers = loses_answers
        self.records = 0
        self.writers = []
        self._tasks = set()

    async def connect(self, host, port, *, ports, seconds=None):
        assert (host, port) == self.broker
        server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await super().connect(host, port, ports=ports, seconds=seconds)

    async def _pass_on(self, reader, writer):
        there = await asyncio.open_connection(*self.broker)
        self.writers.append(writer)
        is_lost = asyncio.Event()
        answers = asyncio.create_task(self._return(there[0], writer, is_lost))
        self._tasks.add(answers)
        try:
            while True:
                size = await reader.readexactly(4)
                request = await reader.readexactly(int.from_bytes(size))
                if request[:2] == _PRODUCE:
                    self.records += 1
                    if self.loses_answers:
                        is_lost.set()
                there[1].write(size + request)
        except (asyncio.IncompleteReadError, ConnectionError):
            answers.cancel()
        finally:
            there[1].close()
            writer.close()

    async def _return(self, reader, writer, is_lost):
        while data := await reader.read(65536):
            if not is_lost.is_set():
                writer.write(data)


@pytest.fixture
def broker(settings):
    host, _, port = settings.kafka_bootstrap_servers.partition(":")
    return host, int(port)


@pytest.fixture
def topic(settings):
    name = f"own.{uuid4().hex[:8]}"

    async def make():
        async with administrator(settings) as admin:
            await admin.create_topics([NewTopic(name, 3, 1)])

    asyncio.run(make())
    return name


@pytest.fixture
def records(settings, topic):
    """Reads the topic's records."""
    return lambda: _records_in(settings, topic)


def _records_in(settings, topic):
    async def read():
        async with running(AIOKafkaConsumer(**client_options(settings))) as consumer:
            places = [TopicPartition(topic, number) for number in range(3)]
            consumer.assign(places)
            await consumer.seek_to_beginning(*places)
            ends = await consumer.end_offsets(places)
            records: list[Any] = []
            while len(records) < sum(ends.values()):
                for batch in (await consumer.getmany(timeout_ms=500)).values():
                    records += batch
            return records

    return asyncio.run(read())


class TestKafka(ChannelContract):
    @pytest.fixture
    def kind(self):
        return KafkaChannel()

    @pytest.fixture
    def config(self, settings, topic):
        return {
            "servers": settings.kafka_bootstrap_servers,
            "topic": topic,
            "tls": "none",
            "mechanism": settings.kafka_sasl_mechanism,
        }

    @pytest.fixture
    def credentials(self, settings):
        if settings.kafka_username is None:
            return {}
        return {
            "username": settings.kafka_username,
            "password": settings.kafka_password.get_secret_value(),
        }

    @pytest.fixture
    def sent_texts(self, records):
        return lambda: [record.value.decode() for record in records()]

    def test_a_record_has_the_id_as_its_key_and_a_cloud_event(
        self, kind, config, credentials, topic, records
    ):
        message = notification({"type": "url", "value": "http://a.example/", "kind": "new"})
        result = send(kind, config, message, credentials=credentials)
        [record] = records()
        assert record.key == str(message.id).encode()
        assert dict(record.headers)["content-type"].startswith(b"application/cloudevents+json")
        document = json.loads(record.value)
        assert (document["specversion"], document["id"]) == ("1.0", str(message.id))
        assert result.reference == f"{topic}-{record.partition}@{record.offset}"

    @HOSTILE
    @given(message=notifications())
    def test_hostile_messages_fit(self, kind, config, message):
        document = json.loads(kind.render(message, KafkaConfig(**config)).parts[0])
        assert document["id"] == str(message.id)
        assert document["data"]["match_count"] == message.match_count

    def test_a_lost_answer_is_an_unknown_outcome_and_the_ledger_says_maybe_twice(
        self, kind, config, credentials, broker, records, monkeypatch
    ):
        monkeypatch.setattr(kafka, "SECONDS", 1.5)
        message = notification()

        async def send_by(detour, *, is_repetition):
            async with detour:
                return await attempt(
                    kind,
                    config,
                    json.dumps(credentials),
                    message,
                    detour,
                    is_repetition=is_repetition,
                )

        lost = asyncio.run(send_by(_Detour(broker, loses_answers=True), is_repetition=False))
        assert lost.is_unknown
        assert seconds_to_retry(lost.error, 1) is not None
        again = asyncio.run(send_by(_Detour(broker), is_repetition=True))
        assert again.error is None
        assert again.is_maybe_repeated
        assert {record.key for record in records()} == {str(message.id).encode()}

    def test_what_aiokafka_repeats_by_itself_is_written_once(
        self, kind, config, credentials, broker, records
    ):
        detour = _Detour(broker, loses_answers=True)

        async def send_through():
            async with detour:
                sending = asyncio.create_task(
                    attempt(kind, config, json.dumps(credentials), notification(), detour)
                )
                while not detour.records and not sending.done():
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                detour.loses_answers = False
                for writer in detour.writers:
                    writer.close()
                result = await sending
                assert detour.records == 2
                return result

        assert asyncio.run(send_through()).error is None
        assert len(records()) == 1

    def test_a_frozen_broker_holds_an_attempt_for_its_time_and_no_longer(
        self, kind, config, monkeypatch
    ):
        monkeypatch.setattr(kafka, "SECONDS", 1.0)
        with serving(_Silent) as port:
            started = time.monotonic()
            result = send(
                kind, config | {"servers": f"127.0.0.1:{port}"}, notification(), credentials={}
            )
            assert time.monotonic() - started < 3.0
        assert result.error is not None
        assert not result.is_unknown
        assert seconds_to_retry(result.error, 1) is not None

    def test_an_attempt_leaves_no_task_and_no_connection(
        self, kind, config, credentials, monkeypatch, broker
    ):
        monkeypatch.setattr(kafka, "SECONDS", 1.0)

        async def send_three():
            for detour in (_Detour(broker), _Detour(broker, loses_answers=True)):
                async with detour:
                    await attempt(kind, config, json.dumps(credentials), notification(), detour)
                await asyncio.sleep(0.1)
            async with channel_client(ALLOW) as client:
                bad = config | {"servers": "127.0.0.1:1"}
                await attempt(kind, bad, json.dumps(credentials), notification(), client)
            await asyncio.sleep(0.1)
            here = asyncio.current_task()
            return [
                task.get_coro().__qualname__
                for task in asyncio.all_tasks()
                if task is not here and "_Detour" not in task.get_coro().__qualname__
            ]

        assert asyncio.run(send_three()) == []

    def test_servers_that_a_cluster_names_are_vetted_too(
        self, kind, config, credentials, broker, records
    ):
        """The tenant may reach the first server, whose cluster names another one."""

        async def send_to(first):
            server = await asyncio.start_server(_Detour(broker)._pass_on, "127.0.0.1", 0)
            async with server:
                port = server.sockets[0].getsockname()[1]
                allow = (OutboundGrant.parse(f"127.0.0.0/8:{port}"),)
                async with channel_client(allow) as client:
                    servers = config | {"servers": f"{first}:{port}"}
                    return await attempt(
                        kind, servers, json.dumps(credentials), notification(), client
                    )

        started = time.monotonic()
        result = asyncio.run(send_to("127.0.0.1"))
        assert time.monotonic() - started < 3.0
        assert result.error.code == "forbidden-target"
        assert seconds_to_retry(result.error, 1) is None
        assert records() == []

    def test_a_forbidden_server_is_refused_at_once(self, kind, config):
        with pytest.raises(InvalidInput, match="refused") as refusal:
            asyncio.run(kind.check(KafkaConfig(**config | {"servers": "10.0.0.8:9092"}), ALLOW))
        assert refusal.value.details["field"] == "config.servers"
        result = send(kind, config | {"servers": "10.0.0.8:9092"}, notification(), credentials={})
        assert result.error.code == "forbidden-target"

    def test_a_certificate_of_others_is_refused(self, kind, config, tmp_path):
        context, text = loopback_certificate(tmp_path)
        with serving(_Silent, context) as port:
            servers = {"servers": f"127.0.0.1:{port}", "tls": "tls"}
            result = send(kind, config | servers, notification(), credentials={})
            assert "cannot prove its name" in result.error.message
            assert seconds_to_retry(result.error, 1) is None
            trusted = send(
                kind, config | servers | {"authorities": text}, notification(), 1.5, credentials={}
            )
            assert seconds_to_retry(trusted.error, 1) is not None

    def test_a_closed_port_and_a_missing_topic_are_tried_again(
        self, kind, config, credentials, monkeypatch
    ):
        monkeypatch.setattr(kafka, "SECONDS", 1.0)
        for change in ({"servers": "127.0.0.1:1"}, {"topic": "nobody-has-made-it"}):
            result = send(kind, config | change, notification(), credentials=credentials)
            assert seconds_to_retry(result.error, 1) is not None
            assert not result.is_unknown

    def test_a_login_that_the_cluster_does_not_take_is_told(self, kind, config):
        login = {"username": "alerts", "password": "wrong"}
        result = send(kind, config, notification(), credentials=login)
        assert result.error is not None
        assert "wrong" not in result.error.message

    @pytest.mark.parametrize(
        "change",
        [
            {"servers": "kafka.example"},
            {"servers": "kafka.example:0"},
            {"servers": "kafka.example:99999"},
            {"servers": "a.example:9092,,b.example:9092"},
            {"topic": "../x"},
            {"topic": "x" * 250},
            {"topic": "a b"},
            {"mechanism": "GSSAPI"},
        ],
    )
    def test_a_bad_configuration_is_refused(self, config, change):
        with pytest.raises(ValidationError):
            KafkaConfig(**config | change)

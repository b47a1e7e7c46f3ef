"""The Faust app that feeds the log reader.

Faust brings records and commits what was handled. The reader decides where reading begins after an
assignment, since the state lives in memory only. There are no tables, no changelogs, no web server
and no topics of its own.
"""

from typing import Any, Final

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import Consumer, Transport
from faust.types import TP, EventT, StreamT

from services.observables.trends.analysis import Place
from services.observables.trends.reader import LogReader
from shared.events import ConsumedRecord
from shared.kafka.cluster import tls_context
from shared.kafka.present_login import PresentPassword, current_login
from shared.settings import Settings

_TICK_SECONDS: Final = 1.0
_MEGABYTE: Final = 1024 * 1024


class _Consumer(Consumer):
    """Faust's consumer, which begins where the reader says and not at the committed offsets."""

    async def perform_seek(self) -> None:
        """Seek after each assignment, and after fetched records were thrown away."""
        assigned = {(tp.topic, tp.partition): tp for tp in self.assignment()}
        transport: Any = self.transport
        starts = await transport.reader.assign(self.app.consumer_generation_id, assigned)
        current = {place: start for place, start in starts.items() if place in assigned}
        await self.seek_wait({assigned[place]: start.begin for place, start in current.items()})
        for place, start in current.items():
            tp = assigned[place]
            self._read_offset[tp] = start.begin or None
            # Records read again are not committed again: the group's offsets never move back.
            self._committed_offset[tp] = start.resume or None


# Faust derives the logger's name from the class's module.
_Consumer.logger = Consumer.logger


class _Transport(Transport):
    Consumer = _Consumer
    reader: LogReader


def create_app(settings: Settings, reader: LogReader) -> faust.App:
    """The Faust app of a reader; `await app.start()` begins to read."""
    app = faust.App(
        reader.group,
        broker=[
            f"kafka://{server.strip()}" for server in settings.kafka_bootstrap_servers.split(",")
        ],
        broker_credentials=_credentials(settings),
        autodiscover=False,
        datadir=settings.data_dir / "faust",
        store="memory://",
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        # There is one reader at a time. As the same member it gets its partitions at once,
        # without waiting until the cluster has given up its killed predecessor.
        consumer_group_instance_id="reader",
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=4 * _MEGABYTE,
        broker_max_poll_records=100,
        broker_session_timeout=10.0,
        broker_heartbeat_interval=1.0,
        broker_commit_interval=1.0,
        # Records are large: Faust's default of 4,096 buffered ones takes hundreds of megabytes.
        stream_buffer_maxsize=64,
    )
    transport = _Transport(app.conf.broker_consumer, app)
    transport.reader = reader
    app.transport = transport
    records = app.topic(
        *reader.topics,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
    )

    @app.agent(records)
    async def handle(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            message = event.message
            await reader.handle(message.generation_id, _record(event), message.timestamp)

    @app.timer(_TICK_SECONDS)  # type: ignore[untyped-decorator]  # Faust has no types for it
    async def tick() -> None:
        await reader.tick(_ends(app))

    return app


def _credentials(settings: Settings) -> SASLCredentials | SSLCredentials | None:
    """This process's login, as Faust wants it."""
    protocol = settings.kafka_security_protocol
    context = tls_context(settings.kafka_ca_file) if protocol.endswith("SSL") else None
    if protocol.startswith("SASL") and settings.kafka_password:
        return SASLCredentials(
            username=settings.kafka_username,
            password=PresentPassword(settings),
            ssl_context=context,
            mechanism=current_login(settings).mechanism,
        )
    return None if context is None else SSLCredentials(context=context)


def _record(event: EventT[bytes]) -> ConsumedRecord:
    message: Any = event.message
    headers = list(message.headers or ())
    return ConsumedRecord(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value or b"",
        headers,
        int(message.timestamp * 1000),
    )


def _ends(app: faust.App) -> dict[Place, int]:
    """Where the assigned partitions end, as of the last fetch."""
    consumer: Any = app.consumer
    ends: dict[TP, int | None] = {tp: consumer.highwater(tp) for tp in consumer.assignment()}
    return {(tp.topic, tp.partition): end for tp, end in ends.items() if end is not None}

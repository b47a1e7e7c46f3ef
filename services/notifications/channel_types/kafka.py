"""The Kafka channel: a record in a topic of the tenant's own cluster.

Source: the Kafka protocol binding for CloudEvents 1.0, structured mode. The key is the delivery's
id, so that readers recognise repeats.
"""

import re
import socket
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, webhook
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    OutcomeUnknown,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.connection import (
    check_host,
    refuse_bad_authorities,
    tls_context_of,
)
from shared.http.client import GuardedClient
from shared.http.guard import Allowance
from shared.kafka.foreign_cluster import ForeignCluster, RecordLost, write_record

PORTS: Final = frozenset({*range(9092, 9100), *range(9192, 9200), 19092, 29092})
SECONDS: Final = 12.0
"""For a record, which is less than an attempt has: so the attempt knows how it ended."""
_SERVER: Final = re.compile(r"^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})$")
_HEADERS: Final = [("content-type", b"application/cloudevents+json; charset=UTF-8")]


def _refuse_bad_servers(text: str) -> str:
    servers = text.split(",")
    if not all(_SERVER.match(server) and 0 < _port(server) <= 65_535 for server in servers):
        raise ValueError("give host:port, several with commas between")
    return text


def _port(server: str) -> int:
    return int(server.rpartition(":")[2])


class KafkaConfig(BaseModel):
    """The cluster and the topic."""

    model_config = ConfigDict(extra="forbid")

    servers: Annotated[str, AfterValidator(_refuse_bad_servers)] = Field(
        min_length=1, max_length=1000, title="host:port, several with commas between"
    )
    topic: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}$")
    tls: Literal["tls", "none"] = Field(default="tls", title="none states that there is no TLS")
    authorities: Annotated[str | None, AfterValidator(refuse_bad_authorities)] = Field(
        default=None, max_length=20_000, title="Certificates to trust, in PEM"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", title="How the login is proved, if there is one"
    )


class KafkaCredentials(BaseModel):
    """The login of the cluster; without a user name there is none."""

    model_config = ConfigDict(extra="forbid")

    username: str | None = Field(default=None, max_length=300)
    password: str | None = Field(default=None, max_length=1000)


class KafkaChannel:
    """Writes a record for each notification, and waits until all replicas have it."""

    name: ClassVar[str] = "kafka"
    config: type[KafkaConfig] = KafkaConfig
    credentials: type[KafkaCredentials] = KafkaCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(bytes=webhook.MAX_BYTES)

    async def check(self, config: KafkaConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse servers that no attempt may reach."""
        for server in config.servers.split(","):
            host = server.rpartition(":")[0].strip("[]")
            await check_host(host, _port(server), allow, PORTS, "config.servers")

    def render(
        self,
        notification: Notification,
        config: KafkaConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The record's value: the document of a webhook."""
        message = webhook.document(notification)
        return RenderedMessage((message[0],), "application/cloudevents+json", message[1])

    async def send(
        self,
        notification: Notification,
        config: KafkaConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Write the record once; the receipt is its place in the topic.

        Raises:
            OutcomeUnknown: the cluster did not acknowledge it after it was sent.
            UpstreamError: it was not sent, or refused.
        """

        async def open_socket(host: str, port: int) -> socket.socket:
            return await client.connect(host, port, ports=PORTS)

        login = exchange.credentials_of(KafkaCredentials, secret)
        cluster = ForeignCluster(
            config.servers,
            None if config.tls == "none" else tls_context_of(config.authorities),
            config.mechanism if login.username is not None else None,
            login.username,
            login.password or "",
        )
        try:
            partition, offset = await write_record(
                cluster,
                open_socket,
                config.topic,
                str(notification.id).encode(),
                self.render(notification, config).parts[0],
                _HEADERS,
                seconds=SECONDS,
            )
        except RecordLost as error:
            if error.may_have_arrived:
                raise OutcomeUnknown(error.message) from error
            raise
        return Receipt(reference=f"{config.topic}-{partition}@{offset}")

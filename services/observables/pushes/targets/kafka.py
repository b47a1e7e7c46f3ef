"""A topic of a Kafka cluster of the tenant's own: a record for each object, its id the key.

A compacted topic has the newest version of each object; what was taken back is there as revoked.
"""

import re
import socket
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from services.observables.pushes.targets.base import (
    PushedObject,
    SendOutcome,
    StrictModel,
    require_reachable,
)
from services.observables.taxii.media_types import STIX
from shared.http.client import GuardedClient
from shared.http.guard import Allowance
from shared.http.transport import tls_context
from shared.kafka.foreign_cluster import ForeignCluster, write_records

PORTS: Final = frozenset({*range(9092, 9100), *range(9192, 9200), 19092, 29092})
"""Ports of clusters that may be reached on public addresses."""
SECONDS: Final = 30.0
"""For all records of a batch."""
_SERVER: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", re.ASCII)
_HEADERS: Final = [("content-type", STIX.encode())]


def _check_servers(text: str) -> str:
    for server in text.split(","):
        if not _SERVER.fullmatch(server) or not 0 < _port(server) <= 65_535:
            raise ValueError("give host:port, several with commas between")
    return text


def _port(server: str) -> int:
    return int(server.rpartition(":")[2])


class TopicConfig(StrictModel):
    """The cluster and the topic."""

    servers: Annotated[str, Field(min_length=1, max_length=1_000), AfterValidator(_check_servers)]
    topic: str = Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,248}$")
    tls: Literal["tls", "none"] = Field("tls", description="none states that there is no TLS")
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="how the login is proved, if there is one"
    )


class TopicCredentials(StrictModel):
    """The login of the cluster; without a user name there is none."""

    username: str | None = Field(None, max_length=300)
    password: str | None = Field(None, max_length=1_000)


class KafkaTarget:
    """Writes records, and waits until all in-sync replicas have them."""

    name = "kafka"
    config = TopicConfig
    credentials = TopicCredentials

    def place_of(self, config: TopicConfig) -> str:
        """See `PushTarget.place_of`: the servers, and whether what is sent to them is encrypted."""
        return f"kafka+{config.tls}://{config.servers}"

    async def check(self, config: TopicConfig, allow: tuple[Allowance, ...]) -> None:
        """See `PushTarget.check`."""
        for server in config.servers.split(","):
            host = server.rpartition(":")[0].strip("[]")
            await require_reachable(host, _port(server), allow, PORTS, "config.servers")

    async def send(
        self,
        objects: Sequence[PushedObject],
        config: TopicConfig,
        secrets: TopicCredentials,
        client: GuardedClient,
    ) -> SendOutcome:
        """See `PushTarget.send`."""

        async def open_socket(host: str, port: int) -> socket.socket:
            return await client.connect(host, port, ports=PORTS)

        cluster = ForeignCluster(
            config.servers,
            None if config.tls == "none" else tls_context(None, None),
            config.mechanism if secrets.username is not None else None,
            secrets.username,
            secrets.password or "",
        )
        records = [(each.object_id.encode(), each.payload) for each in objects]
        await write_records(cluster, open_socket, config.topic, records, _HEADERS, seconds=SECONDS)
        return SendOutcome()

"""A data folder of a version whose Kafka asked nobody for a login goes on, with logins."""

import asyncio
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from sentineliq.local.server import Server, exchange
from sentineliq.local.stack import Infrastructure

TOPIC = "kept"


@dataclass(frozen=True)
class EarlierKafka:
    """Kafka with the settings of that version."""

    server: Any
    name: str = "kafka"
    user: None = None

    @property
    def url(self) -> str:
        return str(self.server.url)

    @property
    def environment(self) -> Mapping[str, str]:
        return self.server.environment

    @property
    def stop_signal(self) -> Any:
        return self.server.stop_signal

    def prepare(self) -> None:
        self.server.prepare()
        properties: Path = self.server.folder / "server.properties"
        text = properties.read_text().replace("SASL_PLAINTEXT", "PLAINTEXT")
        lines = [
            line
            for line in text.splitlines()
            if not re.match(r"sasl|authorizer|super|listener\.name", line)
        ]
        properties.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return self.server.command()

    def is_ready(self) -> bool:
        head = struct.pack("!hhih5si", 3, 1, 0, 5, b"ready", 0)
        response = exchange(self.server.port, struct.pack("!i", len(head)) + head, 12)
        return len(response) == 12 and struct.unpack("!iii", response)[2] > 0


class EarlierInfrastructure(Infrastructure):
    """The servers of that version; Kafka alone, to be quick."""

    def _servers(self) -> dict[str, Server]:
        name = "KAFKA_BOOTSTRAP_SERVERS"
        return {name: EarlierKafka(super()._servers()[name])}


class LaterInfrastructure(Infrastructure):
    """Those of this version."""

    def _servers(self) -> dict[str, Server]:
        name = "KAFKA_BOOTSTRAP_SERVERS"
        return {name: super()._servers()[name]}


async def produce(servers: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(TOPIC, b"from before")


async def consume(options: dict[str, Any]) -> Any:
    consumer = AIOKafkaConsumer(TOPIC, auto_offset_reset="earliest", **options)
    try:
        async with asyncio.timeout(10):
            await consumer.start()
            return (await consumer.getone()).value
    finally:
        await consumer.stop()


@pytest.mark.timeout(180)
def test_a_folder_of_before_gets_logins_and_keeps_its_records(tmp_path: Path) -> None:
    with EarlierInfrastructure(tmp_path).running() as stack:
        asyncio.run(produce(stack.environment["KAFKA_BOOTSTRAP_SERVERS"]))
    with LaterInfrastructure(tmp_path).running() as stack:
        address = {"bootstrap_servers": stack.environment["KAFKA_BOOTSTRAP_SERVERS"]}
        login = stack.kafka_login("admin")
        options = {
            "security_protocol": login["KAFKA_SECURITY_PROTOCOL"],
            "sasl_mechanism": login["KAFKA_SASL_MECHANISM"],
            "sasl_plain_username": login["KAFKA_USERNAME"],
            "sasl_plain_password": login["KAFKA_PASSWORD"],
        }
        assert asyncio.run(consume(address | options)) == b"from before"
        with pytest.raises((KafkaError, TimeoutError)):
            asyncio.run(consume(address))
    assert (tmp_path / "kafka" / "server.properties").stat().st_mode & 0o777 == 0o600

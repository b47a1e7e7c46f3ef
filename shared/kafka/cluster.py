"""Connecting to the cluster, its administration, and the names of consumer groups."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient

from shared.kafka.clients import close_completely, running
from shared.kafka.lenient_records import read_leniently
from shared.kafka.present_login import PresentPassword, current_login, log_in_anew
from shared.settings import Settings

REQUEST_MS: Final = 10_000
"""The longest wait for an answer of Kafka: a broker that is frozen or gone is given up then."""

read_leniently()
log_in_anew()
close_completely()


def client_options(settings: Settings) -> dict[str, Any]:
    """Return what every client of the cluster needs: its address, and this process's login."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = tls_context(settings.kafka_ca_file)
    if settings.kafka_security_protocol.startswith("SASL") and settings.kafka_password:
        options |= {
            "sasl_mechanism": current_login(settings).mechanism,
            "sasl_plain_username": settings.kafka_username,
            "sasl_plain_password": PresentPassword(settings),
        }
    return options


@cache
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return how to verify the cluster's certificate: by a file of authorities, or the system's."""
    return ssl.create_default_context(cafile=ca_file)


def consumer_group(settings: Settings, service: str) -> str:
    """Return the name of a service's consumer group."""
    return f"{settings.kafka_topic_prefix}sentineliq.{service}"


@asynccontextmanager
async def administrator(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """Open a client that administers the cluster; it is closed when the block ends.

    Raises:
        KafkaError: the cluster does not answer.
    """
    client = AIOKafkaAdminClient(
        **client_options(settings),
        client_id="sentineliq-admin",
        request_timeout_ms=REQUEST_MS,
    )
    async with running(client):
        yield client

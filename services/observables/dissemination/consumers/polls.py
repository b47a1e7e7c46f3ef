"""What a poll gets: who may have it, and which bytes of which file.

A poll writes what the consumer has now. Where nothing changes, that is written every few seconds
alone, so that devices which poll often cost little.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from services.observables.dissemination.consumers import repository, tokens
from services.observables.dissemination.consumers.models import ConsumerRow, PolledList
from services.observables.dissemination.files import repository as files
from services.observables.dissemination.files.service import write_file
from services.observables.list_formats.registry import list_formats
from shared.database import PLATFORM, Database
from shared.errors import NotFound, Unauthenticated, Unavailable
from shared.frozen_tenants import is_tenant_frozen

_NOTED_SECONDS: Final = 5.0
"""A poll that brings nothing new is noted so often."""
_MAX_NOTED: Final = 10_000
_ALIASES: Final[Mapping[str, str]] = {"txt": "plain", "json": "jsonl", "ndjson": "jsonl"}
"""Endings of addresses that stand for formats."""

NO_ACCESS: Final = "There is no such list for this token."
"""What every poll is told that may not have what it asks for, whatever the reason is."""


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A file as a poll may have it.

    Attributes:
        list: the list with its file, which is ready.
    """

    consumer: ConsumerRow
    format: str
    media_type: str
    list: PolledList

    @property
    def digest(self) -> bytes:
        """SHA-256 of the bytes."""
        return self.list.digest or b""


class Polls:
    """Answers polls, in one process.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # By consumer, list and format: the version that was noted last, and when.
        self._noted: dict[tuple[UUID, UUID, str], tuple[int, float]] = {}

    def find(self, token: str, file_name: str, address: str, agent: str) -> ReadyFile:
        """The file that a consumer polls; it is written now if nobody has polled it before.

        Args:
            token: may be any text.
            file_name: the name of a list and the ending of a format.
            address: from which the consumer asks.
            agent: what its program calls itself.

        Raises:
            Unauthenticated: the token is not valid, or not from this address.
            NotFound: the consumer may not have that, or there is no such list or format.
            Unavailable: the list was never filled, or was stopped before there was such a file.
        """
        name, _, ending = file_name.rpartition(".")
        format_ = _ALIASES.get(ending, ending)
        list_format = list_formats().get(format_)
        with self._database.transaction(PLATFORM) as session:
            consumer = _consumer(session, token, address)
            if list_format is None:
                raise NotFound(NO_ACCESS)
            polled = repository.polled_list(session, consumer, name, format_)
            if polled is None:
                raise NotFound(NO_ACCESS)
            if polled.number is not None:
                self._note(session, consumer, polled, format_, address, agent)
                return ReadyFile(consumer, format_, list_format.media_type, polled)
        if not polled.is_filled:
            raise Unavailable("The list is not filled yet; ask again in a few seconds.")
        write_file(self._database, polled.list_id, format_)
        return self.find(token, file_name, address, agent)

    def content(self, ready: ReadyFile, encoding: str) -> bytes | None:
        """The bytes of a file in an encoding; None if a newer version has taken its place."""
        with self._database.transaction(PLATFORM) as session:
            return files.content(session, ready.list.list_id, ready.format, encoding, ready.digest)

    def _note(
        self,
        session: Session,
        consumer: ConsumerRow,
        polled: PolledList,
        format_: str,
        address: str,
        agent: str,
    ) -> None:
        number = polled.number or 0
        key = (consumer.id, polled.list_id, format_)
        noted = self._noted.get(key)
        now = time.monotonic()
        if noted is not None and noted[0] == number and now - noted[1] < _NOTED_SECONDS:
            return
        values = {
            "tenant": consumer.tenant,
            "consumer": consumer.id,
            "list": polled.list_id,
            "format": format_,
            "number": number,
            "entries": polled.entries or 0,
            "address": address[:100],
            "agent": agent[:200],
        }
        repository.note_poll(session, values)
        if len(self._noted) >= _MAX_NOTED:
            self._noted.clear()
        self._noted[key] = (number, now)


def _consumer(session: Session, token: str, address: str) -> ConsumerRow:
    parts = tokens.read(token)
    consumer = repository.get(session, parts.consumer_id) if parts else None
    if parts is None or consumer is None or consumer.revoked_at is not None:
        raise Unauthenticated(NO_ACCESS)
    if not tokens.is_valid(parts.secret, consumer.token_digest):
        raise Unauthenticated(NO_ACCESS)
    if is_tenant_frozen(session, consumer.tenant):
        raise Unauthenticated(NO_ACCESS)
    if consumer.networks and not _is_within(address, consumer.networks):
        raise Unauthenticated(NO_ACCESS)
    return consumer


def _is_within(address: str, networks: list[str]) -> bool:
    try:
        host = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(host, "ipv4_mapped", None) or host
    return any(mapped in ip_network(network) for network in networks)

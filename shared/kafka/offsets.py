"""The offsets that a consumer group has handled, stored in the service's own schema.

Offsets are valid within one Kafka cluster only: a log that was formatted anew starts at zero again.
The stored name of the group therefore contains the cluster's id. And they are valid within one log
only: a row also says what record stands at its offset, so that another log is noticed.

A partition whose records cannot be handled is halted: its row says why, and since when.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database
from shared.events import ConsumedRecord
from shared.kafka.cluster import administrator
from shared.kafka.refusals import REPORT_SECONDS, Refusals
from shared.settings import Settings

_TIME: Final = sa.DateTime(timezone=True)
OFFSETS: Final = sa.Table(
    "consumer_offset",
    sa.MetaData(),
    sa.Column("consumer_group", sa.Text, primary_key=True),
    sa.Column("topic", sa.Text, primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("last_offset", sa.BigInteger),
    sa.Column("last_timestamp", sa.BigInteger),
    sa.Column("last_digest", sa.LargeBinary),
    sa.Column("last_event_id", sa.Text),
    sa.Column("dead_offsets", pg.ARRAY(sa.BigInteger)),
    sa.Column("dead_allowance", sa.Integer),
    sa.Column("halted_at", _TIME),
    sa.Column("halted_reason", sa.Text),
    sa.Column("halted_version", sa.Text),
    sa.Column("unsigned_until", _TIME),
    sa.Column("refused_count", sa.BigInteger),
    sa.Column("refused_first", sa.BigInteger),
    sa.Column("refused_last", sa.BigInteger),
    sa.Column("refused_reason", sa.Text),
    sa.Column("refusals_reported_at", _TIME),
)
# The update changes nothing, but locks a row that exists, as FOR UPDATE would.
_LOCK: Final = sa.text(
    "INSERT INTO consumer_offset AS present (consumer_group, topic, partition, last_offset) "
    "VALUES (:consumer_group, :topic, :partition, -1) "
    "ON CONFLICT (consumer_group, topic, partition) "
    "DO UPDATE SET last_offset = present.last_offset "
    "RETURNING last_offset, dead_offsets, dead_allowance, halted_at IS NOT NULL AS is_halted, "
    "halted_version, "
    "coalesce(extract(epoch FROM unsigned_until) * 1000, 0)::bigint AS unsigned_until, "
    "refused_count, refused_first, refused_last, refused_reason, "
    "refusals_reported_at > now() - make_interval(secs => :report_seconds) AS is_reported"
)
_VERSIONS: Final = 8
"""The most versions of the code that a row remembers to have halted it."""
_NO_RECORD: Final = {"last_timestamp": None, "last_digest": None, "last_event_id": None}


@dataclass(frozen=True, slots=True)
class PartitionKey:
    """Names a partition's row.

    Attributes:
        cluster: the id of the Kafka cluster.
        group: the consumer group.
        topic: with the installation's prefix.
    """

    cluster: str
    group: str
    topic: str
    partition: int

    def values(self) -> dict[str, Any]:
        """The row's key columns."""
        return {
            "consumer_group": f"{self.group}@{self.cluster}",
            "topic": self.topic,
            "partition": self.partition,
        }


@dataclass(frozen=True, slots=True)
class Halt:
    """Why a partition is halted.

    Attributes:
        versions: of the code that halted it since a person last released it, the newest first.
    """

    since: datetime
    reason: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredOffset:
    """What the database knows of a partition.

    Attributes:
        last: the last offset whose effects are committed; -1 if there is none.
        timestamp: of the record at that offset, in milliseconds since 1970; None if unknown.
        digest: of that record.
        halt: None while the partition is consumed.
        refused: records that were passed over, of which the audit does not tell yet.
    """

    last: int
    timestamp: int | None = None
    digest: bytes | None = None
    halt: Halt | None = None
    refused: int = 0


async def cluster_id(settings: Settings) -> str:
    """Return the Kafka cluster's id."""
    async with administrator(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def record_digest(record: ConsumedRecord) -> bytes:
    """Return what tells a record from another one at the same offset of another log."""
    digest = blake2b(str(record.timestamp).encode(), digest_size=16)
    for name, value in (("", record.key), ("", record.value), *record.headers):
        size = -1 if value is None else len(value)
        digest.update(f"\n{name} {size}\n".encode("utf-8", "backslashreplace"))
        digest.update(value or b"")
    return digest.digest()


class OffsetRow:
    """A partition's row, locked until the transaction ends.

    Attributes:
        last: the last offset whose effects are committed; -1 if there is none.
        dead_offsets: the latest dead letters' offsets.
        dead_allowance: dead letters beyond the limit that a person has allowed.
        is_halted: whether the partition is halted.
        halting_versions: of the code that halted it since a person last released it.
        unsigned_until: milliseconds since 1970; what the broker took before it may be unsigned.
        refusals: records that were passed over, of which the audit does not tell yet.
        is_report_due: whether it is time to tell.
    """

    def __init__(self, session: Session, key: PartitionKey) -> None:
        self._session = session
        self._key = key.values()
        row = session.execute(_LOCK, self._key | {"report_seconds": REPORT_SECONDS}).one()
        self.last: int = row.last_offset
        self.dead_offsets: list[int] = row.dead_offsets
        self.dead_allowance: int = row.dead_allowance
        self.is_halted: bool = row.is_halted
        self.halting_versions = _split_versions(row.halted_version)
        self.unsigned_until: int = row.unsigned_until
        self.refusals = Refusals(
            row.refused_count, row.refused_first, row.refused_last, row.refused_reason
        )
        self.is_report_due = self.refusals.count > 0 and not row.is_reported

    def advance(
        self, record: ConsumedRecord, dead_offsets: Sequence[int] = (), dead_allowance: int = 0
    ) -> None:
        """Record that this transaction applies all records up to and including one.

        Args:
            record: the last one.
            dead_offsets: the latest dead letters' offsets.
            dead_allowance: what is left of it.
        """
        event_id = next((value for name, value in record.headers if name == "ce_id"), None) or b""
        self._update(
            last_offset=record.offset,
            last_timestamp=record.timestamp,
            last_digest=_place(record.offset) + record_digest(record),
            last_event_id=event_id.decode("latin-1")[:200].replace("\0", ""),
            dead_offsets=list(dead_offsets),
            dead_allowance=dead_allowance,
        )

    def store_refusals(self) -> None:
        """Keep the count of the records that were passed over until the audit tells of them."""
        self._update(**_refusal_columns(self.refusals))

    def close_report(self) -> None:
        """Begin a new count: the audit tells of the records so far."""
        self._update(**_refusal_columns(Refusals()), refusals_reported_at=sa.func.now())

    def move(self, last: int) -> None:
        """Continue behind another offset, whose record is not known."""
        self._update(last_offset=last, dead_offsets=[], **_NO_RECORD)

    def halt(self, reason: str, version: str) -> None:
        """Stop consuming until a person or another version of the code releases the partition."""
        others = [other for other in self.halting_versions if other != version]
        self._update(
            halted_at=sa.func.now(),
            halted_reason=reason.replace("\0", ""),
            halted_version=" ".join([version, *others[: _VERSIONS - 1]]),
        )

    def release(self) -> None:
        """Let another version of the code consume, with a new count of dead letters.

        The row remembers the versions that halted it.
        """
        self._update(halted_at=None, halted_reason=None, dead_offsets=[])

    def _update(self, **values: Any) -> None:
        is_own_row = [OFFSETS.c[name] == value for name, value in self._key.items()]
        self._session.execute(sa.update(OFFSETS).where(*is_own_row).values(**values))


def stored_offset(database: Database, key: PartitionKey) -> StoredOffset | None:
    """Return what is stored of a partition; None if there is no row.

    Raises:
        Unavailable: the database does not answer.
    """
    is_own_row = [OFFSETS.c[name] == value for name, value in key.values().items()]
    with database.transaction(PLATFORM) as session:
        row = session.execute(sa.select(OFFSETS).where(*is_own_row)).one_or_none()
    if row is None:
        return None
    halt = None
    if row.halted_at is not None:
        versions = _split_versions(row.halted_version)
        halt = Halt(row.halted_at, row.halted_reason, versions)
    # The version before writes offsets alone: the digest may be that of an earlier record.
    place = _place(row.last_offset)
    digest = row.last_digest
    is_of_record = digest is not None and digest.startswith(place)
    digest = digest.removeprefix(place) if is_of_record else None
    return StoredOffset(
        row.last_offset, row.last_timestamp, digest, halt, refused=row.refused_count
    )


def _refusal_columns(refusals: Refusals) -> dict[str, Any]:
    return {
        "refused_count": refusals.count,
        "refused_first": refusals.first,
        "refused_last": refusals.last,
        "refused_reason": refusals.reason,
    }


def unsigned_until(session: Session) -> int:
    """Return until when records of any partition may be unsigned, in milliseconds since 1970.

    It is 0 where the service was installed with a version whose producers sign.
    """
    latest = sa.func.max(OFFSETS.c.unsigned_until)
    milliseconds = sa.cast(sa.func.coalesce(sa.extract("epoch", latest) * 1000, 0), sa.BigInteger)
    return int(session.execute(sa.select(milliseconds)).scalar_one())


def _split_versions(text: str | None) -> tuple[str, ...]:
    return tuple((text or "").split())


def _place(offset: int) -> bytes:
    """What stands before the digest of the record at an offset."""
    return offset.to_bytes(8, "big", signed=True)


def offset_in_other_cluster(database: Database, key: PartitionKey) -> StoredOffset | None:
    """Return what the same group had applied of a partition in another cluster; None if nothing.

    Raises:
        Unavailable: the database does not answer.
    """
    query = (
        sa.select(OFFSETS.c.last_offset, OFFSETS.c.last_timestamp)
        .where(
            OFFSETS.c.consumer_group.startswith(f"{key.group}@", autoescape=True),
            OFFSETS.c.topic == key.topic,
            OFFSETS.c.partition == key.partition,
            OFFSETS.c.last_offset >= 0,
        )
        .order_by(OFFSETS.c.last_timestamp.desc().nulls_last(), OFFSETS.c.last_offset.desc())
        .limit(1)
    )
    with database.transaction(PLATFORM) as session:
        row = session.execute(query).one_or_none()
    return None if row is None else StoredOffset(row.last_offset, row.last_timestamp)


@dataclass(frozen=True, slots=True)
class PartitionSummary:
    """A partition, for operators.

    Attributes:
        group: the consumer group, and the id of the cluster.
        dead_letters: their number among the latest records.
        halted_version: the versions of the code that halted it since a person last released it, the
            newest first, separated by spaces.
    """

    group: str
    topic: str
    partition: int
    last_offset: int
    last_event_id: str | None
    dead_letters: int
    halted_at: datetime | None
    halted_reason: str | None
    halted_version: str | None


_SUMMARY: Final = (
    OFFSETS.c.consumer_group,
    OFFSETS.c.topic,
    OFFSETS.c.partition,
    OFFSETS.c.last_offset,
    OFFSETS.c.last_event_id,
    sa.func.cardinality(OFFSETS.c.dead_offsets),
    OFFSETS.c.halted_at,
    OFFSETS.c.halted_reason,
    OFFSETS.c.halted_version,
)


def partition_summaries(session: Session) -> list[PartitionSummary]:
    """All partitions of the service's consumers."""
    order = (OFFSETS.c.topic, OFFSETS.c.partition, OFFSETS.c.consumer_group)
    return [
        PartitionSummary(*row) for row in session.execute(sa.select(*_SUMMARY).order_by(*order))
    ]


def release_partitions(
    session: Session, topic: str, partition: int | None, allowance: int
) -> list[PartitionSummary]:
    """Release the halted partitions of a topic; return them as they were.

    Args:
        session: the platform's transaction.
        topic: the topic's name, with or without the installation's prefix.
        partition: None for all.
        allowance: dead letters that may come beyond the limit.
    """
    conditions = [
        OFFSETS.c.halted_at.is_not(None),
        sa.or_(OFFSETS.c.topic == topic, OFFSETS.c.topic.endswith(f".{topic}", autoescape=True)),
    ]
    if partition is not None:
        conditions.append(OFFSETS.c.partition == partition)
    query = sa.select(*_SUMMARY).where(*conditions).order_by(OFFSETS.c.partition).with_for_update()
    halted = [PartitionSummary(*row) for row in session.execute(query)]
    session.execute(sa.update(OFFSETS).where(*conditions).values(**_released(allowance)))
    return halted


def _released(allowance: int) -> dict[str, Any]:
    """The columns of a partition that is consumed again, with a new count of dead letters."""
    return {
        "halted_at": None,
        "halted_reason": None,
        "halted_version": None,
        "dead_offsets": [],
        "dead_allowance": allowance,
    }

"""Gaps: places where a log does not continue where its consumers were.

A consumer that finds one writes a row, continues where the log can be read on, and asks for a
repair. `sentineliq doctor` shows the rows.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.kafka.offsets import PartitionKey

GapKind = Literal["expired", "recreated", "replaced", "rewound", "truncated"]
"""expired: retention passed before the records were read; recreated: the topic is a new one;
replaced: the whole cluster is a new one; rewound: the database went back, the log is complete;
truncated: the log lost its end."""

_TIME: Final = sa.DateTime(timezone=True)
LOG_GAP: Final = sa.Table(
    "log_gap",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("consumer_group", sa.Text),
    sa.Column("topic", sa.Text),
    sa.Column("partition", sa.Integer),
    sa.Column("kind", sa.Text),
    sa.Column("last_offset", sa.BigInteger),
    sa.Column("last_timestamp", sa.BigInteger),
    sa.Column("log_start", sa.BigInteger),
    sa.Column("log_end", sa.BigInteger),
    sa.Column("resumed_at", sa.BigInteger),
    sa.Column("noticed_at", _TIME),
    sa.Column("repaired_at", _TIME),
    sa.Column("repair", sa.Text),
)
_NEWEST: Final = 200


@dataclass(frozen=True, slots=True)
class LogGap:
    """One gap of one partition.

    Attributes:
        last: the offset of the last record that was applied before it.
        timestamp: of that record, in milliseconds since 1970; None if it is not known.
        start: the log's first offset when the gap was noticed.
        end: the offset behind its last record.
        resume: the offset at which consuming continues.
    """

    kind: GapKind
    last: int
    timestamp: int | None
    start: int
    end: int
    resume: int

    @property
    def extent(self) -> str:
        """What is missing, in one sentence."""
        if self.kind == "expired":
            return (
                f"{self.start - self.last - 1} records were deleted before they were read: offsets "
                f"{self.last + 1} to {self.start - 1}."
            )
        if self.kind == "rewound":
            return f"The database went back to offset {self.last}; later records are applied again."
        if self.kind == "truncated":
            return (
                f"The log does not have the record at offset {self.last}, which was applied; it "
                f"ends at {self.end}. Later records may be lost as well."
            )
        return (
            f"The log is a new one, from offset {self.start} to {self.end}; of the old one all up "
            f"to offset {self.last} was applied. Later records are lost."
        )


def rewound_gap(last: int, position: int) -> LogGap:
    """The gap of a database that went back to an offset from a later position."""
    return LogGap("rewound", last, None, last + 1, position, last + 1)


@dataclass(frozen=True, slots=True)
class RecordedGap:
    """A gap as it is stored.

    Attributes:
        repair: what was requested, or has to be done by a person.
        repaired_at: when the repair was requested; None while a person has to do it.
    """

    id: int
    topic: str
    partition: int
    kind: str
    last_offset: int
    last_timestamp: int | None
    log_start: int
    log_end: int
    resumed_at: int
    noticed_at: datetime
    repaired_at: datetime | None
    repair: str | None


def add_gap(
    session: Session, key: PartitionKey, gap: LogGap, repair: str, *, is_repaired: bool
) -> None:
    """Store a gap.

    Args:
        session: the transaction that moves the partition's row.
        key: the partition.
        gap: what is missing.
        repair: what was requested, or what a person has to do.
        is_repaired: whether nothing is left to do for a person.
    """
    values: dict[str, Any] = {
        **key.values(),
        "kind": gap.kind,
        "last_offset": gap.last,
        "last_timestamp": gap.timestamp,
        "log_start": gap.start,
        "log_end": gap.end,
        "resumed_at": gap.resume,
        "repair": repair,
        "repaired_at": sa.func.now() if is_repaired else None,
    }
    session.execute(sa.insert(LOG_GAP).values(values))


def newest_gaps(session: Session) -> list[RecordedGap]:
    """The newest gaps of a service's consumers, the newest first."""
    columns = [LOG_GAP.c[name] for name in RecordedGap.__dataclass_fields__]
    query = sa.select(*columns).order_by(LOG_GAP.c.id.desc()).limit(_NEWEST)
    return [RecordedGap(*row) for row in session.execute(query)]

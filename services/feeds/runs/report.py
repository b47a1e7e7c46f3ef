"""The report of a run."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self

import msgspec

from services.feeds.formats.base import DroppedItem
from services.feeds.formats.unit_account import UnitAccount
from services.feeds.snapshots.parse_report import ParseReport
from shared.errors import storable


@dataclass
class RunReport(ParseReport):
    """Counts of what a run read, published and left out.

    Attributes:
        listed: distinct observables.
        seen: those of them that are new or changed and were published.
        gone: observables that are no longer listed, or were retracted.
        published: indicators in all events that were published. A full statement repeats what has
            not changed, and retracts by its end what is gone.
        chunks: events that were published.
        buckets: the same by bucket.
        bytes: received on the wire or with the upload.
        types: listed observables by type.
        stages: seconds of each stage.
    """

    listed: int = 0
    seen: int = 0
    gone: int = 0
    published: int = 0
    chunks: int = 0
    buckets: Counter[int] = field(default_factory=Counter)
    bytes: int = 0
    types: Counter[str] = field(default_factory=Counter)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Seconds of all stages."""
        return round(sum(self.stages.values()), 3)

    def as_dict(self) -> dict[str, Any]:
        """The report as it is stored with the run."""
        return {
            "taken": self.listed,
            "seen": self.seen,
            "gone": self.gone,
            "published": self.published,
            "chunks": self.chunks,
            "buckets": {str(bucket): chunks for bucket, chunks in self.buckets.items()},
            "bytes": self.bytes,
            "types": dict(self.types),
            "dropped": dict(self.dropped),
            "examples": [msgspec.to_builtins(item) for item in self.examples],
            "notes": [storable(note) for note in self.notes],
            "named": self.named,
            "account": msgspec.to_builtins(self.account),
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "seconds": self.seconds,
        }

    @classmethod
    def from_stored(cls, report: Mapping[str, Any] | None) -> Self:
        """The report of a run that an earlier attempt began, or an empty one."""
        if not report:
            return cls()
        return cls(
            listed=report["taken"],
            seen=report["seen"],
            gone=report["gone"],
            published=report.get("published", report["seen"] + report["gone"]),
            chunks=report["chunks"],
            buckets=Counter(
                {int(bucket): chunks for bucket, chunks in report.get("buckets", {}).items()}
            ),
            bytes=report["bytes"],
            types=Counter(report["types"]),
            dropped=Counter(report["dropped"]),
            examples=[msgspec.convert(item, DroppedItem) for item in report["examples"]],
            notes=list(report["notes"]),
            named=report.get("named", 0),
            account=msgspec.convert(report.get("account"), UnitAccount | None),
            stages=dict(report["stages"]),
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to a stage."""
        started = monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + monotonic() - started

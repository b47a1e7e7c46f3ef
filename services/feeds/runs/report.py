"""What a run tells about itself."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final, Self

import msgspec

from services.feeds.formats.base import DroppedItem

MAX_EXAMPLES: Final = 20


@dataclass
class RunReport:
    """What a run took and what it left out, and why.

    Attributes:
        taken: distinct observables that are listed.
        seen: of them, how many are new or say something new, and were sent on.
        gone: how many are no longer listed, or were taken back.
        named: how often observables are named; more than `taken` when some are named twice.
        types: how many of each type are listed.
        dropped: what was left out, by reason.
        examples: the first of them, with their place.
        notes: what the format decided by itself, such as which column it read.
        bytes: on the wire, or of the upload.
        stages: seconds of each stage.
    """

    taken: int = 0
    seen: int = 0
    gone: int = 0
    named: int = 0
    chunks: int = 0
    bytes: int = 0
    types: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    examples: list[DroppedItem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)

    def drop(self, dropped: Iterable[DroppedItem]) -> None:
        """Count what a format left out."""
        for one in dropped:
            self.dropped[one.reason] += 1
            if len(self.examples) < MAX_EXAMPLES:
                self.examples.append(one)

    def forget_reading(self) -> None:
        """The document is read again in another way: what the first way found does not count."""
        self.dropped, self.examples, self.notes = Counter(), [], []

    def as_dict(self) -> dict[str, Any]:
        """As it is stored with the run."""
        return {
            "taken": self.taken,
            "seen": self.seen,
            "gone": self.gone,
            "chunks": self.chunks,
            "bytes": self.bytes,
            "types": dict(self.types),
            "dropped": dict(self.dropped),
            "examples": [msgspec.to_builtins(one) for one in self.examples],
            "notes": self.notes,
            "stages": {name: round(seconds, 3) for name, seconds in self.stages.items()},
            "seconds": round(sum(self.stages.values()), 3),
        }

    @classmethod
    def stored(cls, report: Mapping[str, Any] | None) -> Self:
        """The report of a run that was begun before, or an empty one."""
        if not report:
            return cls()
        counters: dict[str, Any] = {name: Counter(report[name]) for name in ("types", "dropped")}
        examples = [msgspec.convert(one, DroppedItem) for one in report["examples"]]
        numbers = {name: report[name] for name in ("taken", "seen", "gone", "bytes", "chunks")}
        return cls(
            **numbers,
            **counters,
            stages=dict(report["stages"]),
            examples=examples,
            notes=list(report["notes"]),
        )

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time spent within."""
        started = monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + monotonic() - started

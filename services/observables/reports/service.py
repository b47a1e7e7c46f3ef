"""Extracted values with what is stored about each."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from services.observables.reference import context
from services.observables.reports.extraction import ExtractedValue, Position
from services.observables.store.references import ObservableReference, read_references
from shared.database import Database
from shared.stix.ids import observable_id

MAX_TOGETHER: Final = 5_000
"""Values that are read in one transaction."""


class AnnotatedValue(msgspec.Struct):
    """A value in a document: its positions, what is stored about it, and its allow-lists."""

    type: str
    value: str
    count: int
    positions: list[Position]
    observable: ObservableReference | None
    allow_lists: list[list[str]]


def annotate(
    database: Database, tenant: str, values: Sequence[ExtractedValue]
) -> list[AnnotatedValue]:
    """Add to each extracted value what is stored about it and the allow-lists it is on."""
    ids = [observable_id(value.type, value.value) for value in values]
    references: dict[str, ObservableReference] = {}
    now = datetime.now(UTC)
    for start in range(0, len(ids), MAX_TOGETHER):
        with database.transaction(tenant) as session:
            part = sorted(set(ids[start : start + MAX_TOGETHER]))
            references |= read_references(session, tenant, part, now)
    context.reload_if_stale_from(database)
    contexts = context.describe_values(
        (str(number), value.type, value.value) for number, value in enumerate(values)
    )
    annotated = []
    for number, (value, identity) in enumerate(zip(values, ids, strict=True)):
        facts = context.decoded(contexts.get(str(number), context.NOTHING))
        hits = facts.get("allow_lists", {}).get("hits", [])
        reference = references.get(identity)
        if reference is not None and reference.type != value.type:
            reference = None
        annotated.append(
            AnnotatedValue(value.type, value.value, value.count, value.positions, reference, hits)
        )
    return annotated

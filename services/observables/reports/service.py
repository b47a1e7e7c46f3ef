"""Extracted values with what is stored about each."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from services.observables.lookup import read_models
from services.observables.lookup import repository as reads
from services.observables.lookup.assembly import TOGETHER
from services.observables.lookup.read_models import View
from services.observables.reference import context
from services.observables.reports.extraction import ExtractedValue, Position
from services.observables.store.references import Reference
from shared.database import Database
from shared.stix.ids import observable_id


class AnnotatedValue(msgspec.Struct):
    """A value in a document: its positions, what is stored about it, and its allow-lists."""

    type: str
    value: str
    count: int
    positions: list[Position]
    observable: Reference | None
    allow_lists: list[list[str]]


def annotate(
    database: Database, tenant: str, values: Sequence[ExtractedValue]
) -> list[AnnotatedValue]:
    """Add to each extracted value what is stored about it and the allow-lists it is on."""
    ids = [observable_id(value.type, value.value) for value in values]
    views: dict[str, View] = {}
    for start in range(0, len(ids), TOGETHER):
        with database.read_transaction(tenant) as connection:
            gathered = reads.gather(connection, tenant, set(ids[start : start + TOGETHER]))
        views |= read_models.views(gathered, datetime.now(UTC))
    context.reload_if_stale_from(database)
    contexts = context.describe_values(
        (str(number), value.type, value.value) for number, value in enumerate(values)
    )
    annotated = []
    for number, (value, identity) in enumerate(zip(values, ids, strict=True)):
        facts = context.decoded(contexts.get(str(number), context.NOTHING))
        hits = facts.get("allow_lists", {}).get("hits", [])
        view = views.get(identity)
        reference = read_models.reference(view) if view and view.type == value.type else None
        annotated.append(
            AnnotatedValue(value.type, value.value, value.count, value.positions, reference, hits)
        )
    return annotated

"""What a report names, with what is stored about each value."""

from datetime import UTC, datetime

import msgspec

from services.observables.lookup import read_models
from services.observables.lookup import repository as reads
from services.observables.lookup.assembly import TOGETHER
from services.observables.lookup.read_models import View
from services.observables.reference import context
from services.observables.reports.extraction import Extraction, Mentioned, Position
from services.observables.store.references import Reference
from shared.database import Database
from shared.stix.ids import observable_id


class Named(msgspec.Struct):
    """A value in a document: its positions, what is stored about it, and its allow-lists."""

    type: str
    value: str
    count: int
    positions: list[Position]
    observable: Reference | None
    allow_lists: list[list[str]]


class Report(msgspec.Struct):
    """The observables and ATT&CK ids that a document names."""

    observables: list[Named]
    attack: list[Mentioned]
    characters: int
    pages: int | None
    notes: list[str]


def annotate(database: Database, tenant: str, extraction: Extraction) -> Report:
    """Add to each extracted value what is stored about it and the allow-lists it is on."""
    ids = [observable_id(match.type, match.value) for match in extraction.observables]
    views: dict[str, View] = {}
    for start in range(0, len(ids), TOGETHER):
        with database.read_transaction(tenant) as connection:
            gathered = reads.gather(connection, tenant, set(ids[start : start + TOGETHER]))
        views |= read_models.views(gathered, datetime.now(UTC))
    context.reload_if_stale_from(database)
    contexts = context.describe_values(
        (str(index), match.type, match.value) for index, match in enumerate(extraction.observables)
    )
    named = []
    for index, (match, identity) in enumerate(zip(extraction.observables, ids, strict=True)):
        facts = context.decoded(contexts.get(str(index), context.NOTHING))
        hits = facts.get("allow_lists", {}).get("hits", [])
        view = views.get(identity)
        reference = read_models.reference(view) if view and view.type == match.type else None
        named.append(Named(match.type, match.value, match.count, match.positions, reference, hits))
    return Report(
        named, extraction.attack, extraction.characters, extraction.pages, extraction.notes
    )

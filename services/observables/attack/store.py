"""The SQL of the index and of what it makes of assertions."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import PUBLIC
from shared.events.mitre import TechniqueCard

_LOCK: Final = sa.text("SELECT pg_advisory_xact_lock(hashtext('sentineliq.observables.attack'))")
_PUT: Final = sa.text(
    "INSERT INTO attack_technique (tenant, attack_id, card) SELECT :tenant, f.attack_id, CAST(f.card AS jsonb) "
    "FROM unnest(CAST(:ids AS text[]), CAST(:cards AS text[])) f(attack_id, card) "
    "ON CONFLICT (tenant, attack_id) DO UPDATE SET card = excluded.card "
    "WHERE attack_technique.card IS DISTINCT FROM excluded.card"
)
_NEXT: Final = sa.text(
    "SELECT tenant, observable_id::text AS id, source_id::text AS source, malware, tags, attack FROM assertion "
    "WHERE (tenant, observable_id, source_id) > (:tenant, CAST(:id AS uuid), CAST(:source AS uuid)) "
    "ORDER BY tenant, observable_id, source_id LIMIT :most"
)
_FRESH: Final = (
    "FROM unnest(CAST(:ids AS uuid[]), CAST(:sources AS uuid[]), CAST(:attacks AS text[])) fresh(id, source, attack)"
)
# The ids once more, as a list: joined with an array alone, the table is read as a whole.
_MINE: Final = (
    "mine.tenant = :tenant AND mine.observable_id = fresh.id AND mine.source_id = fresh.source "
    "AND mine.observable_id = ANY(CAST(:ids AS uuid[]))"
)
_KEEP: Final = sa.text(
    f"INSERT INTO assertion_past SELECT mine.*, CAST(:at AS timestamptz) {_FRESH} JOIN assertion mine ON {_MINE} "
    "ON CONFLICT DO NOTHING"
)
_CHANGE: Final = sa.text(
    f"UPDATE assertion mine SET attack = string_to_array(fresh.attack, ' '), recorded_at = :at {_FRESH} WHERE {_MINE}"  # noqa: S608
)


class Mapped(NamedTuple):
    """What an assertion stands for now."""

    observable: str
    source: str
    attack: tuple[str, ...]


def lock(session: Session) -> None:
    """Wait until nobody else writes cards, and keep others waiting until the transaction ends."""
    session.execute(_LOCK)


def put(session: Session, cards: Iterable[TechniqueCard]) -> None:
    """Keep the newest card of each technique; the session is that of `public`."""
    by_id = {card.attack_id: msgspec.json.encode(card).decode() for card in cards}
    session.execute(_PUT, {"tenant": PUBLIC, "ids": list(by_id), "cards": list(by_id.values())})


def cards(session: Session) -> list[TechniqueCard]:
    """All cards."""
    query = sa.text("SELECT card::text FROM attack_technique")
    decode = msgspec.json.Decoder(TechniqueCard).decode
    return [decode(text) for text in session.scalars(query)]


def next_assertions(session: Session, after: tuple[str, str, str], most: int) -> Sequence[sa.Row[Any]]:
    """Assertions of all tenants in the order of tenant, observable and source, beginning after these."""
    tenant, identity, source = after
    return session.execute(_NEXT, {"tenant": tenant, "id": identity, "source": source, "most": most}).all()


def change(session: Session, tenant: str, mapped: Sequence[Mapped]) -> None:
    """Change what assertions stand for, and keep what they were."""
    if not mapped:
        return
    values = {
        "tenant": tenant,
        "at": session.execute(sa.text("SELECT clock_timestamp()")).scalar_one(),
        "ids": [one.observable for one in mapped],
        "sources": [one.source for one in mapped],
        "attacks": [" ".join(one.attack) for one in mapped],
    }
    session.execute(_KEEP, values)
    session.execute(_CHANGE, values)

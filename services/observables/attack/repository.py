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
# Row by row, by their keys: joined with an array, the table is read as a whole wherever it was not analyzed lately.
_MINE: Final = "WHERE tenant = :tenant AND observable_id = CAST(:id AS uuid) AND source_id = CAST(:source AS uuid)"
_KEEP: Final = sa.text(
    f"INSERT INTO assertion_past SELECT mine.*, CAST(:at AS timestamptz) FROM assertion mine {_MINE} "  # noqa: S608
    "ON CONFLICT DO NOTHING"
)
_CHANGE: Final = sa.text(f"UPDATE assertion SET attack = :attack, recorded_at = :at {_MINE}")  # noqa: S608


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


def next_assertions(
    session: Session, after: tuple[str, str, str], most: int
) -> Sequence[sa.Row[Any]]:
    """Assertions of all tenants in the order of tenant, observable and source, beginning after these."""
    tenant, identity, source = after
    return session.execute(
        _NEXT, {"tenant": tenant, "id": identity, "source": source, "most": most}
    ).all()


def change(session: Session, tenant: str, mapped: Sequence[Mapped]) -> None:
    """Change what assertions stand for, and keep what they were."""
    if not mapped:
        return
    now = session.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    mine = [
        {"tenant": tenant, "id": one.observable, "source": one.source, "at": now} for one in mapped
    ]
    session.execute(_KEEP, mine)
    session.execute(
        _CHANGE, [key | {"attack": list(one.attack)} for key, one in zip(mine, mapped, strict=True)]
    )

"""The SQL of technique cards."""

from collections.abc import Iterable
from typing import Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import PUBLIC
from shared.events.mitre import TechniqueCard

_LOCK: Final = sa.text("SELECT pg_advisory_xact_lock(hashtext('sentineliq.observables.attack'))")
_UPSERT: Final = sa.text(
    "INSERT INTO attack_technique (tenant, attack_id, card) "
    "SELECT :tenant, f.attack_id, CAST(f.card AS jsonb) "
    "FROM unnest(CAST(:ids AS text[]), CAST(:cards AS text[])) f(attack_id, card) "
    "ON CONFLICT (tenant, attack_id) DO UPDATE SET card = excluded.card "
    "WHERE attack_technique.card IS DISTINCT FROM excluded.card"
)
_CARDS: Final = sa.text("SELECT card::text FROM attack_technique")


def lock(session: Session) -> None:
    """Wait until no other transaction writes cards, and keep others waiting until this one ends."""
    session.execute(_LOCK)


def upsert_cards(session: Session, cards: Iterable[TechniqueCard]) -> None:
    """Store the newest card of each technique; the session is that of `public`."""
    by_id = {card.attack_id: msgspec.json.encode(card).decode() for card in cards}
    session.execute(_UPSERT, {"tenant": PUBLIC, "ids": list(by_id), "cards": list(by_id.values())})


def list_cards(session: Session) -> list[TechniqueCard]:
    """All cards."""
    decode = msgspec.json.Decoder(TechniqueCard).decode
    return [decode(text) for text in session.scalars(_CARDS)]

"""A card fits its event, however many users the technique has; its id is derived."""

import msgspec

from services.mitre.releases.publication import card_event
from shared.events import MAX_EVENT_BYTES
from shared.events.mitre import TechniqueCard, TechniqueUser


def card(users: int) -> TechniqueCard:
    software = [TechniqueUser(f"S{number}", "n" * 60, "malware") for number in range(users)]
    return TechniqueCard(
        "T1059", "attack-pattern--1", "PowerShell", "enterprise-attack", "18.1", software=software
    )


def test_a_card_with_more_users_than_an_event_takes_shows_the_first() -> None:
    event = card_event(card(20_000), None)
    shown = msgspec.json.decode(event.payload(), type=TechniqueCard)
    assert len(event.payload()) <= MAX_EVENT_BYTES
    assert 1_000 < len(shown.software) < 20_000
    assert shown.software == card(20_000).software[: len(shown.software)]


def test_the_same_card_after_the_same_release_has_the_same_id() -> None:
    assert card_event(card(2), 7).id == card_event(card(2), 7).id
    others = [card_event(card(2), 8), card_event(card(3), 7), card_event(card(2), None)]
    assert len({card_event(card(2), 7).id, *(event.id for event in others)}) == 4

"""Publishing releases and the cards of their techniques."""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace
from sqlalchemy.orm import Session

from services.mitre.releases import repository
from services.mitre.releases.bundle import ParsedRelease
from services.mitre.releases.cards import Technique
from services.mitre.releases.diff import ReleaseDiff, mark_removed
from services.mitre.releases.models import Release
from services.mitre.releases.usage import UNUSED
from shared.database import PUBLIC
from shared.events import MAX_EVENT_BYTES, Event, content_id, derived_id
from shared.events.mitre import RELEASED, TECHNIQUES, Released, TechniqueCard
from shared.kafka.outbox import publish

SOURCE: Final = "/services/mitre"


def publish_release(
    session: Session, release: Release, parsed: ParsedRelease, diff: ReleaseDiff
) -> None:
    """Announce a release that became current, once.

    Args:
        session: of the tenant `public`.
        release: as it is stored.
        parsed: the bundle's content.
        diff: the changes against the release that was current.
    """
    if release.announced:
        return
    data = Released(
        domain=release.domain,
        version=release.version,
        previous=release.previous,
        counts=parsed.counts,
        added=diff.added,
        changed=diff.changed,
        revoked=diff.revoked,
        deprecated=diff.deprecated,
    )
    key = release.domain.encode()
    event_id = derived_id(RELEASED.name, release.domain, release.version, release.revision)
    publish(session, [Event(RELEASED, data, PUBLIC, SOURCE, key, event_id)])


def publish_changed_cards(
    session: Session,
    base: Release | None,
    previous: dict[str, Technique],
    parsed: ParsedRelease,
    diff: ReleaseDiff,
) -> None:
    """Publish the cards that differ from those published before.

    These are techniques that changed, ended or left, and those whose usage changed.

    Args:
        session: of the tenant `public`.
        base: the release that was current.
        previous: its techniques.
        parsed: the content of the release that is current now.
        diff: between the two.
    """
    usage_before = repository.usage_of(session, base.id, previous) if base else {}
    reused = {
        key
        for key in previous.keys() & parsed.techniques
        if usage_before.get(key) != parsed.usage.get(key)
    }
    cards = [
        parsed.techniques[key].card(parsed.domain, parsed.version, parsed.usage.get(key, UNUSED))
        for key in sorted({*diff.touched, *reused})
    ]
    for key in diff.removed:
        last = mark_removed(previous[key], diff.moved.get(key))
        cards.append(last.card(parsed.domain, parsed.version))
    _publish_cards(session, cards, base.id if base else None)


def publish_outdated_cards(session: Session) -> int:
    """Publish again the cards that an older version of this service published with less content.

    Args:
        session: a transaction of the tenant `public`.

    Returns:
        How many cards were published.
    """
    published = 0
    for release in repository.lock_outdated_releases(session):
        techniques = repository.techniques_of(session, release.id)
        usage = repository.usage_of(session, release.id, techniques)
        _publish_cards(
            session,
            [
                technique.card(release.domain, release.version, usage.get(key, UNUSED))
                for key, technique in techniques.items()
            ],
            release.id,
        )
        repository.mark_cards_published(session, release.id)
        published += len(techniques)
    return published


def _publish_cards(session: Session, cards: Iterable[TechniqueCard], base: int | None) -> None:
    """Publish cards; `base` is the release that they change or repeat, None for the first."""
    publish(session, [card_event(card, base) for card in cards])


def card_event(card: TechniqueCard, base: int | None) -> Event[TechniqueCard]:
    """A card as an event, with as many of its users as an event takes."""
    encoded = msgspec.json.encode(card)
    while len(encoded) > MAX_EVENT_BYTES and (card.software or card.groups):
        card = replace(
            card,
            software=card.software[: len(card.software) // 2],
            groups=card.groups[: len(card.groups) // 2],
        )
        encoded = msgspec.json.encode(card)
    event_id = derived_id(TECHNIQUES.name, base, content_id(PUBLIC, encoded))
    key = card.attack_id.encode()
    return Event(TECHNIQUES, card, PUBLIC, SOURCE, key, event_id, encoded=encoded)

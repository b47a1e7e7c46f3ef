"""Techniques: look up, search, export as a layer."""

from typing import Any

from services.mitre.releases.service import load_techniques
from services.mitre.techniques import repository
from services.mitre.techniques.models import ReleasedTechnique, TechniqueFilters
from services.mitre.techniques.navigator import make_layer
from shared.database import Database
from shared.errors import InvalidInput, NotFound
from shared.pagination import Page, decode_cursor


def get_technique(
    database: Database, tenant: str, attack_id: str, domain: str | None, version: str | None
) -> ReleasedTechnique:
    """One technique, in the current release or in a version.

    Raises:
        NotFound: there is none.
    """
    with database.transaction(tenant) as session:
        technique = repository.get_technique(session, attack_id, domain, version)
    if technique is None:
        place = " ".join(part for part in (domain or "any domain", version) if part)
        raise NotFound(f"There is no technique {attack_id} in {place} here.")
    return technique


def search_techniques(
    database: Database, tenant: str, filters: TechniqueFilters, after: str | None, limit: int
) -> Page[ReleasedTechnique]:
    """Current techniques by text, tactic, platform, domain or parent.

    Raises:
        InvalidInput: there is a text and a cursor.
    """
    place = decode_cursor(after, tuple[str, str])
    if filters.text is not None and place is not None:
        raise InvalidInput(
            "A text search gives its best matches at once: ask with a higher limit.", field="after"
        )
    with database.transaction(tenant) as session:
        return repository.search_techniques(session, filters, place, limit)


def export_layer(
    database: Database,
    tenant: str,
    *,
    domain: str,
    version: str | None,
    name: str,
    selected: list[str],
) -> dict[str, Any]:
    """Techniques as a layer for the ATT&CK Navigator.

    Args:
        database: the service's.
        tenant: reads.
        domain: of the techniques.
        version: of the release; None for the current one.
        name: of the layer.
        selected: ATT&CK ids, each with or without a score: T1059, T1003.001:75.

    Raises:
        InvalidInput: a selection is malformed, or names a technique that the release lacks.
    """
    scores = dict(_parse_selection(text) for text in selected)
    with database.transaction(tenant) as session:
        release, techniques = load_techniques(session, domain, version)
    missing = sorted(set(scores) - set(techniques))
    if missing:
        raise InvalidInput(
            f"{domain} {release.version} does not have {', '.join(missing)}.", field="technique"
        )
    return make_layer(name, domain, release.version, scores)


def _parse_selection(text: str) -> tuple[str, int | None]:
    attack_id, colon, score = text.partition(":")
    if not colon:
        return attack_id.upper(), None
    if not (score.isascii() and score.isdigit() and int(score) <= 100):
        raise InvalidInput(
            f"{text!r} is not an ATT&CK id with a score of 0 to 100.", field="technique"
        )
    return attack_id.upper(), int(score)

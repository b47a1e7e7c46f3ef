"""Releases as other tools take them: STIX bundles and layers for the ATT&CK Navigator."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from services.mitre.releases import repository
from services.mitre.techniques.navigator import make_layer
from shared.database import Database
from shared.errors import InvalidInput

_PIECE: Final = 500


def export_release(database: Database, tenant: str, domain: str, version: str) -> Iterator[str]:
    """A release as the STIX bundle it came in, piece by piece."""
    with database.transaction(tenant) as session:
        release = repository.get_release(session, domain, version)
    return _bundle(database, tenant, release)


def _bundle(database: Database, tenant: str, release: sa.Row[Any]) -> Iterator[str]:
    head = {"type": "bundle", "id": release.bundle_id}
    if release.stix_version != "2.1":
        # STIX 2.0 says its version on the bundle, 2.1 on each object.
        head["spec_version"] = release.stix_version
    yield msgspec.json.encode(head).decode().removesuffix("}") + ',"objects":['
    for start in range(0, sum(release.counts.values()), _PIECE):
        with database.transaction(tenant) as session:
            piece = repository.bodies(session, release.id, start, _PIECE)
        yield ("," if start else "") + ",".join(piece)
    yield "]}"


def export_layer(
    database: Database,
    tenant: str,
    domain: str,
    version: str | None,
    name: str,
    selected: list[str],
) -> dict[str, Any]:
    """Techniques as a layer for the ATT&CK Navigator.

    Args:
        database: the service's.
        tenant: who asks.
        domain: of the techniques.
        version: of the release; None for the current one.
        name: of the layer.
        selected: ATT&CK ids, each with or without a score: T1059, T1003.001:75.

    Raises:
        InvalidInput: a selection is not one, or names a technique that the release does not have.
    """
    scores = dict(_scored(text) for text in selected)
    with database.transaction(tenant) as session:
        release = repository.get_release(session, domain, version)
        known = repository.techniques_of(session, release.id)
    unknown = sorted(set(scores) - set(known))
    if unknown:
        raise InvalidInput(
            f"{domain} {release.version} does not have {', '.join(unknown)}.", field="technique"
        )
    return make_layer(name, domain, release.version, scores)


def _scored(text: str) -> tuple[str, int | None]:
    attack_id, colon, score = text.partition(":")
    if colon and not (score.isascii() and score.isdigit() and int(score) <= 100):
        raise InvalidInput(
            f"{text!r} is not an ATT&CK id with a score of 0 to 100.", field="technique"
        )
    return attack_id.upper(), int(score) if colon else None

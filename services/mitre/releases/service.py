"""Releases: store what a bundle brings, list, export."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy.orm import Session

from services.mitre.releases import publication, repository
from services.mitre.releases.bundle import ParsedRelease, version_key
from services.mitre.releases.cards import Technique
from services.mitre.releases.diff import compare
from services.mitre.releases.models import Release
from shared.database import Database

_PIECE: Final = 500
"""Objects that are read at once for an export."""


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """The result of storing a release.

    Attributes:
        is_changed: whether anything was written.
        techniques: how many it has.
        revision: counts different contents of one version.
        is_current: whether it is the one that counts in its domain.
        objects_written: how many of its objects were new.
        changes: figures of its diff; None when nothing was written.
    """

    is_changed: bool
    domain: str
    version: str
    techniques: int
    revision: int
    is_current: bool
    objects_written: int = 0
    changes: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As it is stored with the import."""
        result = {
            "domain": self.domain,
            "version": self.version,
            "techniques": self.techniques,
            "revision": self.revision,
            "current": self.is_current,
            "objects_written": self.objects_written,
        }
        return result if self.changes is None else {**result, "changes": self.changes}


def store_release(
    session: Session, parsed: ParsedRelease, *, activate: bool = False
) -> StoredRelease:
    """Store what is new of a release; make it current if it is the newest, or if asked to.

    Args:
        session: a transaction of the tenant `public`.
        parsed: the bundle's content.
        activate: make it current although a newer one is.
    """
    repository.lock_domain(session, parsed.domain)
    stored = repository.list_releases(session, parsed.domain)
    current = next((release for release in stored if release.current), None)
    content = (parsed.version, parsed.digest)
    same = [release for release in stored if (release.version, release.digest) == content]
    release = same[0] if same else None
    becomes_current = activate or _is_newest(parsed, release, current)
    if release is not None and (release.current or not becomes_current):
        return StoredRelease(
            is_changed=False,
            domain=parsed.domain,
            version=parsed.version,
            techniques=len(parsed.techniques),
            revision=release.revision,
            is_current=release.current,
        )
    base = current if becomes_current else _release_before(parsed.version, stored)
    previous = repository.techniques_of(session, base.id) if base else {}
    diff = compare(previous, parsed.techniques)
    written = 0
    if release is None:
        objects, written = repository.store_objects(session, parsed.objects)
        techniques = repository.store_techniques(session, parsed.domain, parsed.techniques)
        base_version = base.version if base else None
        release = repository.insert_release(
            session, parsed, objects, techniques, base_version, diff
        )
    if becomes_current:
        repository.make_current(session, release)
        publication.publish_release(session, release, parsed, diff)
        publication.publish_changed_cards(session, base, previous, parsed, diff)
    changes = {name: len(value) for name, value in msgspec.to_builtins(diff).items()}
    return StoredRelease(
        is_changed=True,
        domain=parsed.domain,
        version=parsed.version,
        techniques=len(parsed.techniques),
        revision=release.revision,
        is_current=becomes_current,
        objects_written=written,
        changes=changes,
    )


def _is_newest(parsed: ParsedRelease, release: Release | None, current: Release | None) -> bool:
    """Whether a content becomes current without being activated; a stored one does not."""
    if current is None:
        return True
    return release is None and version_key(parsed.version) >= version_key(current.version)


def _release_before(version: str, stored: list[Release]) -> Release | None:
    """The stored release that comes right before a version."""
    key = version_key(version)
    older = [release for release in stored if version_key(release.version) < key]
    return max(
        older,
        key=lambda release: (version_key(release.version), release.revision),
        default=None,
    )


def publish_outdated_cards(session: Session) -> int:
    """Publish again the cards that an older version of this service published with less content."""
    return publication.publish_outdated_cards(session)


def list_releases(database: Database, tenant: str, domain: str | None) -> list[Release]:
    """All releases; there are a handful a year."""
    with database.transaction(tenant) as session:
        return repository.list_releases(session, domain)


def get_release(database: Database, tenant: str, domain: str, version: str) -> Release:
    """One release, its newest revision."""
    with database.transaction(tenant) as session:
        return repository.get_release(session, domain, version)


def load_techniques(
    session: Session, domain: str, version: str | None
) -> tuple[Release, dict[str, Technique]]:
    """A release, the current one or the newest of a version, and its techniques by ATT&CK id."""
    release = repository.get_release(session, domain, version)
    return release, repository.techniques_of(session, release.id)


def export_release(database: Database, tenant: str, domain: str, version: str) -> Iterator[str]:
    """A release as the STIX bundle it came in, piece by piece.

    Raises:
        NotFound: there is none; raised at once, not with the first piece.
    """
    with database.transaction(tenant) as session:
        release = repository.get_release(session, domain, version)
    return _bundle(database, tenant, release)


def _bundle(database: Database, tenant: str, release: Release) -> Iterator[str]:
    head = {"type": "bundle", "id": release.bundle_id}
    if release.stix_version != "2.1":
        # STIX 2.0 has its version on the bundle, 2.1 on each object.
        head["spec_version"] = release.stix_version
    yield msgspec.json.encode(head).decode().removesuffix("}") + ',"objects":['
    for start in range(0, sum(release.counts.values()), _PIECE):
        with database.transaction(tenant) as session:
            piece = repository.object_bodies(session, release.id, start, _PIECE)
        yield ("," if start else "") + ",".join(piece)
    yield "]}"

"""SQL of releases and of the objects and techniques they consist of."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.mitre.releases.bundle import ParsedRelease, StixObject
from services.mitre.releases.cards import Technique, build_usage
from services.mitre.releases.diff import ReleaseDiff
from services.mitre.releases.models import OBJECT, RELEASE, TECHNIQUE, Release
from services.mitre.releases.usage import (
    MODELS,
    Relationship,
    SoftwareOrGroup,
    Usage,
    UsageIndex,
)
from shared.database import PUBLIC
from shared.errors import NotFound

CARD_FORM: Final = 1
"""The form of cards as this version publishes them; it rises when they contain more.

1: with software and groups.
"""
_CHUNK: Final = 2000
_CARD: Final = [TECHNIQUE.c[name] for name in Technique.__struct_fields__]
# The two lists of row ids are large: they are not among a release's fields.
_RELEASE: Final = [RELEASE.c[field.name] for field in fields(Release)]
_INSERT_OBJECTS: Final = sa.text(
    "INSERT INTO object (tenant, stix_id, type, digest, body) "
    "SELECT :tenant, * FROM unnest(CAST(:stix_ids AS text[]), CAST(:types AS text[]), "
    "CAST(:digests AS bytea[]), CAST(string_to_array(:bodies, chr(10)) AS json[])) "
    "ON CONFLICT DO NOTHING"
)
_USING_OBJECTS: Final = sa.text(
    "SELECT type, CAST(body AS text) FROM object "
    "JOIN (SELECT unnest(objects) AS id FROM release WHERE id = :id) members USING (id) "
    "WHERE type = ANY(:types) "
    "OR type = 'relationship' AND body ->> 'relationship_type' = 'uses'"
)


def lock_domain(session: Session, domain: str) -> None:
    """Let the imports of a domain do their work one after the other."""
    session.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtext('mitre.' || :domain))"), {"domain": domain}
    )


def list_releases(session: Session, domain: str | None = None) -> list[Release]:
    """Releases, those loaded last first."""
    query = sa.select(*_RELEASE).order_by(RELEASE.c.id.desc())
    if domain is not None:
        query = query.where(RELEASE.c.domain == domain)
    return [Release(*row) for row in session.execute(query)]


def get_release(session: Session, domain: str, version: str | None) -> Release:
    """The current release of a domain, or the newest revision of a version.

    Raises:
        NotFound: there is none.
    """
    is_chosen = RELEASE.c.current if version is None else RELEASE.c.version == version
    query = (
        sa.select(*_RELEASE)
        .where(RELEASE.c.domain == domain, is_chosen)
        .order_by(RELEASE.c.revision.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        name = f"release {version}" if version else "release"
        raise NotFound(f"No {name} of {domain} is here.")
    return Release(*row)


def store_objects(session: Session, objects: Sequence[StixObject]) -> tuple[list[int], int]:
    """Write the objects whose content is new.

    Returns:
        Row ids in the order of `objects`, and how many rows were written.
    """
    row_ids = _find_objects(session, objects)
    # Sorted, so that imports of two domains that share objects wait for each other and do not
    # deadlock.
    new = {
        (item.stix_id, item.digest): item
        for item in objects
        if (item.stix_id, item.digest) not in row_ids
    }
    fresh = [new[key] for key in sorted(new)]
    for start in range(0, len(fresh), _CHUNK):
        chunk = fresh[start : start + _CHUNK]
        values = {
            "tenant": PUBLIC,
            "stix_ids": [item.stix_id for item in chunk],
            "types": [item.type for item in chunk],
            "digests": [item.digest for item in chunk],
            # One text: the driver escapes an array's elements one by one in Python, four times as
            # slow. JSON without white space has no line feeds of its own.
            "bodies": "\n".join(item.body for item in chunk),
        }
        session.execute(_INSERT_OBJECTS, values)
    if fresh:
        row_ids = _find_objects(session, objects)
    return [row_ids[item.stix_id, item.digest] for item in objects], len(fresh)


def _find_objects(session: Session, objects: Sequence[StixObject]) -> dict[tuple[str, bytes], int]:
    # All contents of these ids, not only the present ones: a join with a list of pairs is planned
    # as a nested loop over the whole table as long as the table has not been analyzed.
    ids = sa.cast([item.stix_id for item in objects], pg.ARRAY(sa.Text))
    query = sa.select(OBJECT.c.stix_id, OBJECT.c.digest, OBJECT.c.id).where(
        OBJECT.c.stix_id == sa.any_(ids)
    )
    rows = session.execute(query.where(OBJECT.c.tenant == PUBLIC))
    return {(stix_id, bytes(digest)): row_id for stix_id, digest, row_id in rows}


def store_techniques(
    session: Session, domain: str, techniques: Mapping[str, Technique]
) -> list[int]:
    """Write the techniques whose content is new; row ids of all."""
    digests = {key: item.digest for key, item in techniques.items()}
    row_ids = _find_techniques(session, domain)
    rows = [
        {"tenant": PUBLIC, "domain": domain, "digest": digests[key], **msgspec.structs.asdict(item)}
        for key, item in techniques.items()
        if (key, digests[key]) not in row_ids
    ]
    if rows:
        session.execute(sa.insert(TECHNIQUE), rows)
        row_ids = _find_techniques(session, domain)
    return [row_ids[pair] for pair in digests.items()]


def _find_techniques(session: Session, domain: str) -> dict[tuple[str, bytes], int]:
    query = sa.select(TECHNIQUE.c.attack_id, TECHNIQUE.c.digest, TECHNIQUE.c.id).where(
        TECHNIQUE.c.domain == domain
    )
    rows = session.execute(query.where(TECHNIQUE.c.tenant == PUBLIC))
    return {(attack_id, bytes(digest)): row_id for attack_id, digest, row_id in rows}


def insert_release(
    session: Session,
    release: ParsedRelease,
    objects: list[int],
    techniques: list[int],
    previous: str | None,
    diff: ReleaseDiff,
) -> Release:
    """Add a release that is not current yet.

    Another content under a version that is stored is its next revision.

    Args:
        session: of the tenant `public`.
        release: the bundle's content.
        objects: row ids of its objects.
        techniques: row ids of its techniques.
        previous: the version that it is compared with.
        diff: the changes against that.
    """
    is_same_version = sa.and_(
        RELEASE.c.domain == release.domain, RELEASE.c.version == release.version
    )
    revision = (
        sa.select(sa.func.coalesce(sa.func.max(RELEASE.c.revision), 0) + 1)
        .where(is_same_version)
        .scalar_subquery()
    )
    values: dict[str, Any] = {
        "tenant": PUBLIC,
        "domain": release.domain,
        "version": release.version,
        "revision": revision,
        "name": release.name,
        "bundle_id": release.bundle_id,
        "stix_version": release.stix_version,
        "digest": release.digest,
        "objects": objects,
        "techniques": techniques,
        "counts": release.counts,
        "diff": msgspec.to_builtins(diff),
        "previous": previous,
        "current": False,
        "announced": False,
        "cards": CARD_FORM,
    }
    statement = sa.insert(RELEASE).values(**values).returning(*_RELEASE)
    return Release(*session.execute(statement).one())


def make_current(session: Session, release: Release) -> None:
    """Make a release and its techniques current in their domain, and note that it is announced."""
    was_current = sa.and_(RELEASE.c.domain == release.domain, RELEASE.c.current)
    session.execute(sa.update(RELEASE).where(was_current).values(current=False))
    statement = (
        sa.update(RELEASE)
        .where(RELEASE.c.id == release.id)
        .values(current=True, announced=True, cards=CARD_FORM)
    )
    members: list[int] = session.execute(statement.returning(RELEASE.c.techniques)).scalar_one()
    is_member = TECHNIQUE.c.id == sa.any_(sa.cast(members, pg.ARRAY(sa.BigInteger)))
    of_domain = TECHNIQUE.c.domain == release.domain
    # Two steps, since at no time may two rows of one technique be current.
    leaving = sa.and_(of_domain, TECHNIQUE.c.current, sa.not_(is_member))
    session.execute(sa.update(TECHNIQUE).where(leaving).values(current=False))
    coming = sa.and_(of_domain, is_member, sa.not_(TECHNIQUE.c.current))
    session.execute(sa.update(TECHNIQUE).where(coming).values(current=True))


def techniques_of(session: Session, release_id: int) -> dict[str, Technique]:
    """A release's techniques by ATT&CK id."""
    members = sa.select(sa.func.unnest(RELEASE.c.techniques)).where(RELEASE.c.id == release_id)
    query = sa.select(*_CARD).where(TECHNIQUE.c.id.in_(members)).order_by(TECHNIQUE.c.attack_id)
    techniques = [Technique(*row) for row in session.execute(query)]
    return {technique.attack_id: technique for technique in techniques}


def usage_of(
    session: Session, release_id: int, techniques: Mapping[str, Technique]
) -> dict[str, Usage]:
    """The usage of a release's techniques, by ATT&CK id, from the objects that are stored."""
    index = UsageIndex()
    parameters = {"id": release_id, "types": list(MODELS)}
    for kind, body in session.execute(_USING_OBJECTS, parameters):
        if kind == "relationship":
            index.add_relationship(msgspec.json.decode(body, type=Relationship))
        else:
            index.add_object(msgspec.json.decode(body, type=SoftwareOrGroup))
    return build_usage(index, techniques)


def lock_outdated_releases(session: Session) -> list[Release]:
    """Current releases whose cards were published in an older form.

    They are locked, so that one process publishes them again.
    """
    is_outdated = sa.and_(RELEASE.c.current, RELEASE.c.cards < CARD_FORM)
    query = sa.select(*_RELEASE).where(is_outdated).with_for_update()
    return [Release(*row) for row in session.execute(query)]


def mark_cards_published(session: Session, release_id: int) -> None:
    """Note that a release's cards were published in the present form."""
    statement = sa.update(RELEASE).where(RELEASE.c.id == release_id).values(cards=CARD_FORM)
    session.execute(statement)


def object_bodies(session: Session, release_id: int, start: int, count: int) -> Sequence[str]:
    """Some of a release's objects as JSON, in the order of its bundle.

    Args:
        session: of the tenant that reads.
        release_id: the release.
        start: place of the first, from 0.
        count: how many at most.
    """
    piece = RELEASE.c.objects[start + 1 : start + count]
    chosen = sa.select(piece).where(RELEASE.c.id == release_id).scalar_subquery()
    members = (
        sa.func.unnest(chosen)
        .table_valued("id", with_ordinality="place", name="members")
        .render_derived()
    )
    query = sa.select(sa.cast(OBJECT.c.body, sa.Text)).join(members, members.c.id == OBJECT.c.id)
    return session.scalars(query.order_by(members.c.place)).all()

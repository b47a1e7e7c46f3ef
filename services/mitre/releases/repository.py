"""SQL of releases and of the objects and techniques they consist of."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.mitre.releases.bundle import Release, StixObject
from services.mitre.releases.diff import Diff
from services.mitre.releases.models import OBJECT, RELEASE, TECHNIQUE
from services.mitre.techniques.cards import Technique, build_users
from services.mitre.techniques.usage import MODELS, Named, Relationship, Users, Uses
from shared.database import PUBLIC
from shared.errors import NotFound

_CHUNK: Final = 2000
CARDS: Final = 1
"""The form of cards as this version tells them; it rises when they say more. 1: with software and groups."""
_FIELDS: Final = Technique.__struct_fields__
_CARD: Final = [TECHNIQUE.c[name] for name in _FIELDS]
# The two lists of row ids are large: nobody reads them by accident.
_SUMMARY: Final = [column for column in RELEASE.c if column.name not in {"objects", "techniques"}]
_INSERT_OBJECTS: Final = sa.text(
    "INSERT INTO object (tenant, stix_id, type, digest, body) SELECT :tenant, * FROM unnest(CAST(:stix_ids AS text[]), "
    "CAST(:types AS text[]), CAST(:digests AS bytea[]), CAST(string_to_array(:bodies, chr(10)) AS json[])) "
    "ON CONFLICT DO NOTHING"
)


def lock_domain(session: Session, domain: str) -> None:
    """Let one load of a domain after the other do its work."""
    session.execute(
        sa.text("SELECT pg_advisory_xact_lock(hashtext('mitre.' || :domain))"), {"domain": domain}
    )


def list_releases(session: Session, domain: str | None = None) -> Sequence[sa.Row[Any]]:
    """Releases, those loaded last first."""
    query = sa.select(*_SUMMARY).order_by(RELEASE.c.id.desc())
    return session.execute(
        query if domain is None else query.where(RELEASE.c.domain == domain)
    ).all()


def get_release(session: Session, domain: str, version: str | None) -> sa.Row[Any]:
    """The current release of a domain, or the newest revision of a version.

    Raises:
        NotFound: there is none.
    """
    which = RELEASE.c.current if version is None else RELEASE.c.version == version
    query = (
        sa.select(*_SUMMARY)
        .where(RELEASE.c.domain == domain, which)
        .order_by(RELEASE.c.revision.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise NotFound(
            f"No release {version} of {domain} is here."
            if version
            else f"No release of {domain} is here."
        )
    return row


def store_objects(session: Session, objects: Sequence[StixObject]) -> tuple[list[int], int]:
    """Write the objects whose content is new.

    Returns:
        Row ids in the order of `objects`, and how many rows were written.
    """
    known = _find_objects(session, objects)
    # Sorted, so that loads of two domains that share objects wait for each other instead of deadlocking.
    new = {
        (item.stix_id, item.digest): item
        for item in objects
        if (item.stix_id, item.digest) not in known
    }
    fresh = [new[key] for key in sorted(new)]
    for start in range(0, len(fresh), _CHUNK):
        chunk = fresh[start : start + _CHUNK]
        values = {
            "tenant": PUBLIC,
            "stix_ids": [item.stix_id for item in chunk],
            "types": [item.type for item in chunk],
            "digests": [item.digest for item in chunk],
            # One text: the driver escapes an array's elements one by one in Python, four times as slow. JSON without
            # white space has no line feeds of its own.
            "bodies": "\n".join(item.body for item in chunk),
        }
        session.execute(_INSERT_OBJECTS, values)
    found = _find_objects(session, objects) if fresh else known
    return [found[item.stix_id, item.digest] for item in objects], len(fresh)


def _find_objects(session: Session, objects: Sequence[StixObject]) -> dict[tuple[str, bytes], int]:
    # All contents of these ids, not only the ones asked for: a join with a list of pairs is planned as a nested loop
    # over the whole table as long as the table has not been analyzed.
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
    known = _find_techniques(session, domain)
    rows = [
        {"tenant": PUBLIC, "domain": domain, "digest": digests[key], **msgspec.structs.asdict(item)}
        for key, item in techniques.items()
        if (key, digests[key]) not in known
    ]
    if rows:
        session.execute(sa.insert(TECHNIQUE), rows)
        known = _find_techniques(session, domain)
    return [known[pair] for pair in digests.items()]


def _find_techniques(session: Session, domain: str) -> dict[tuple[str, bytes], int]:
    query = sa.select(TECHNIQUE.c.attack_id, TECHNIQUE.c.digest, TECHNIQUE.c.id).where(
        TECHNIQUE.c.domain == domain
    )
    rows = session.execute(query.where(TECHNIQUE.c.tenant == PUBLIC))
    return {(attack_id, bytes(digest)): row_id for attack_id, digest, row_id in rows}


def insert_release(
    session: Session,
    release: Release,
    objects: list[int],
    techniques: list[int],
    previous: str | None,
    diff: Diff,
) -> sa.Row[Any]:
    """A release, not current yet; another content under a known version is its next revision."""
    mine = sa.and_(RELEASE.c.domain == release.domain, RELEASE.c.version == release.version)
    revision = (
        sa.select(sa.func.coalesce(sa.func.max(RELEASE.c.revision), 0) + 1)
        .where(mine)
        .scalar_subquery()
    )
    values = {
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
        "cards": CARDS,
    }
    return session.execute(sa.insert(RELEASE).values(**values).returning(*_SUMMARY)).one()


def make_current(session: Session, release: sa.Row[Any]) -> None:
    """Make a release, and its techniques, the ones that count in their domain; and remember that it was announced."""
    was = sa.and_(RELEASE.c.domain == release.domain, RELEASE.c.current)
    session.execute(sa.update(RELEASE).where(was).values(current=False))
    now = (
        sa.update(RELEASE)
        .where(RELEASE.c.id == release.id)
        .values(current=True, announced=True, cards=CARDS)
    )
    members: list[int] = session.execute(now.returning(RELEASE.c.techniques)).scalar_one()
    # Two steps, since at no time may two rows of one technique be current.
    among = TECHNIQUE.c.id == sa.any_(sa.cast(members, pg.ARRAY(sa.BigInteger)))
    mine = TECHNIQUE.c.domain == release.domain
    session.execute(
        sa.update(TECHNIQUE).where(mine, TECHNIQUE.c.current, sa.not_(among)).values(current=False)
    )
    session.execute(
        sa.update(TECHNIQUE).where(mine, among, sa.not_(TECHNIQUE.c.current)).values(current=True)
    )


def techniques_of(session: Session, release_id: int) -> dict[str, Technique]:
    """A release's techniques by ATT&CK id."""
    members = sa.select(sa.func.unnest(RELEASE.c.techniques)).where(RELEASE.c.id == release_id)
    rows = session.execute(
        sa.select(*_CARD).where(TECHNIQUE.c.id.in_(members)).order_by(TECHNIQUE.c.attack_id)
    )
    return {row.attack_id: Technique(**row._mapping) for row in rows}  # noqa: SLF001  # SQLAlchemy's public name


_USES: Final = sa.text(
    "SELECT type, CAST(body AS text) FROM object JOIN (SELECT unnest(objects) AS id FROM release WHERE id = :id) mine "
    "USING (id) WHERE type = ANY(:types) OR type = 'relationship' AND body ->> 'relationship_type' = 'uses'"
)


def users_of(
    session: Session, release_id: int, techniques: Mapping[str, Technique]
) -> dict[str, Users]:
    """Who uses each of a release's techniques, by its ATT&CK id, from the objects that are stored."""
    uses = Uses()
    for kind, body in session.execute(_USES, {"id": release_id, "types": list(MODELS)}):
        if kind == "relationship":
            uses.relate(msgspec.json.decode(body, type=Relationship))
        else:
            uses.name(msgspec.json.decode(body, type=Named))
    return build_users(uses, techniques)


def outdated(session: Session) -> Sequence[sa.Row[Any]]:
    """Current releases whose cards were told in an older form; they are locked, so that one process tells again."""
    query = sa.select(*_SUMMARY).where(RELEASE.c.current, RELEASE.c.cards < CARDS).with_for_update()
    return session.execute(query).all()


def mark_told(session: Session, release_id: int) -> None:
    """Remember that a release's cards were told in the present form."""
    session.execute(sa.update(RELEASE).where(RELEASE.c.id == release_id).values(cards=CARDS))


def bodies(session: Session, release_id: int, start: int, count: int) -> Sequence[str]:
    """Some of a release's objects as JSON, in the order of its bundle.

    Args:
        session: of the tenant that asks.
        release_id: whose.
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

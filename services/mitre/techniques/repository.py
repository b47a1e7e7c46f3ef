"""SQL of looking techniques up and searching them."""

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.mitre.imports.domains import DOMAINS
from services.mitre.releases.models import RELEASE, TECHNIQUE

_HIDDEN: Final = {"id", "tenant", "digest", "search"}
_SHOWN: Final = [
    *(column for column in TECHNIQUE.c if column.name not in _HIDDEN),
    RELEASE.c.version,
]
_DOMAIN_ORDER: Final = sa.func.array_position(
    sa.cast(list(DOMAINS), pg.ARRAY(sa.Text)), TECHNIQUE.c.domain
)


def find(
    session: Session, attack_id: str, domain: str | None, version: str | None
) -> sa.Row[Any] | None:
    """A technique in the current release or in the newest revision of a version.

    Several domains may know the id: the first in the order of `DOMAINS` answers.
    """
    query = sa.select(*_SHOWN).where(TECHNIQUE.c.attack_id == attack_id)
    if version is None:
        query = query.join(
            RELEASE, sa.and_(RELEASE.c.domain == TECHNIQUE.c.domain, RELEASE.c.current)
        )
        query = query.where(TECHNIQUE.c.current)
    else:
        query = query.join(RELEASE, TECHNIQUE.c.id == sa.any_(RELEASE.c.techniques)).where(
            RELEASE.c.version == version
        )
    if domain is not None:
        query = query.where(TECHNIQUE.c.domain == domain)
    return session.execute(
        query.order_by(_DOMAIN_ORDER, RELEASE.c.revision.desc()).limit(1)
    ).one_or_none()


def search(
    session: Session,
    *,
    text: str | None,
    filters: dict[str, str | None],
    inactive: bool,
    after: tuple[str, str] | None,
    limit: int,
) -> Sequence[sa.Row[Any]]:
    """Current techniques.

    Args:
        session: of the tenant that asks.
        text: words to find, quoted phrases, `or`, `-without`; the best match comes first.
        filters: tactic (short name or TA id), platform (in any case), domain, parent; None does not filter.
        inactive: whether revoked and deprecated ones are wanted, too.
        after: id and domain to go on after, in the order of both; not with `text`.
        limit: how many at most.
    """
    query = sa.select(*_SHOWN).where(TECHNIQUE.c.current, *_conditions(filters))
    query = query.join(RELEASE, sa.and_(RELEASE.c.domain == TECHNIQUE.c.domain, RELEASE.c.current))
    key = (TECHNIQUE.c.attack_id, TECHNIQUE.c.domain)
    if not inactive:
        query = query.where(sa.not_(TECHNIQUE.c.revoked), sa.not_(TECHNIQUE.c.deprecated))
    if text is not None:
        wanted = sa.func.websearch_to_tsquery("english", text)
        rank = sa.func.ts_rank_cd(TECHNIQUE.c.search, wanted)
        query = query.where(TECHNIQUE.c.search.op("@@")(wanted)).order_by(rank.desc())
    elif after is not None:
        query = query.where(sa.tuple_(*key) > after)
    return session.execute(query.order_by(*key).limit(limit)).all()


def _conditions(filters: dict[str, str | None]) -> list[sa.ColumnElement[bool]]:
    conditions: list[sa.ColumnElement[bool]] = []
    for name, value in filters.items():
        if value is None:
            continue
        if name == "tactic":
            by_name = sa.literal(value.lower()) == sa.any_(TECHNIQUE.c.tactics)
            conditions.append(
                sa.or_(by_name, sa.literal(value.upper()) == sa.any_(TECHNIQUE.c.tactic_ids))
            )
        elif name == "platform":
            joined = sa.func.lower(sa.func.array_to_string(TECHNIQUE.c.platforms, "\n"))
            conditions.append(
                sa.literal(value.lower()) == sa.any_(sa.func.string_to_array(joined, "\n"))
            )
        else:
            conditions.append(TECHNIQUE.c[name] == value)
    return conditions

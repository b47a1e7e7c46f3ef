"""SQL of looking techniques up and searching them."""

from dataclasses import fields
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session

from services.mitre.releases.domains import DOMAINS
from services.mitre.releases.models import RELEASE, TECHNIQUE
from services.mitre.techniques.models import ReleasedTechnique, TechniqueFilters
from shared.pagination import Page, paginate

_FIELDS: Final[list[sa.ColumnElement[Any]]] = [
    RELEASE.c.version if field.name == "version" else TECHNIQUE.c[field.name]
    for field in fields(ReleasedTechnique)
]
_DOMAIN_ORDER: Final = sa.func.array_position(
    sa.cast(list(DOMAINS), pg.ARRAY(sa.Text)), TECHNIQUE.c.domain
)
_IN_CURRENT_RELEASE: Final = sa.and_(RELEASE.c.domain == TECHNIQUE.c.domain, RELEASE.c.current)


def get_technique(
    session: Session, attack_id: str, domain: str | None, version: str | None
) -> ReleasedTechnique | None:
    """A technique in the current release or in the newest revision of a version.

    Several domains may have the id: the first in the order of `DOMAINS` answers.
    """
    query = sa.select(*_FIELDS).where(TECHNIQUE.c.attack_id == attack_id)
    if version is None:
        query = query.join(RELEASE, _IN_CURRENT_RELEASE).where(TECHNIQUE.c.current)
    else:
        is_member = TECHNIQUE.c.id == sa.any_(RELEASE.c.techniques)
        query = query.join(RELEASE, is_member).where(RELEASE.c.version == version)
    if domain is not None:
        query = query.where(TECHNIQUE.c.domain == domain)
    query = query.order_by(_DOMAIN_ORDER, RELEASE.c.revision.desc()).limit(1)
    row = session.execute(query).one_or_none()
    return None if row is None else ReleasedTechnique(*row)


def search_techniques(
    session: Session, filters: TechniqueFilters, after: tuple[str, str] | None, limit: int
) -> Page[ReleasedTechnique]:
    """Current techniques, by id and domain; with a text the best matches first, on one page.

    Args:
        session: of the tenant that reads.
        filters: which techniques.
        after: id and domain of the last technique of the page before; not with a text.
        limit: how many at most.
    """
    query = (
        sa.select(*_FIELDS)
        .join(RELEASE, _IN_CURRENT_RELEASE)
        .where(TECHNIQUE.c.current, *_conditions(filters))
    )
    key = (TECHNIQUE.c.attack_id, TECHNIQUE.c.domain)
    if filters.text is not None:
        words = sa.func.websearch_to_tsquery("english", filters.text)
        rank = sa.func.ts_rank_cd(TECHNIQUE.c.search, words)
        query = query.where(TECHNIQUE.c.search.op("@@")(words)).order_by(rank.desc(), *key)
        rows = session.execute(query.limit(limit))
        return Page([ReleasedTechnique(*row) for row in rows])
    if after is not None:
        query = query.where(sa.tuple_(*key) > after)
    rows = session.execute(query.order_by(*key).limit(limit + 1))
    techniques = [ReleasedTechnique(*row) for row in rows]
    return paginate(techniques, limit, lambda item: (item.attack_id, item.domain))


def _conditions(filters: TechniqueFilters) -> list[sa.ColumnElement[bool]]:
    columns = TECHNIQUE.c
    conditions: list[sa.ColumnElement[bool]] = []
    if not filters.with_inactive:
        conditions += [sa.not_(columns.revoked), sa.not_(columns.deprecated)]
    if filters.tactic is not None:
        has_name = sa.literal(filters.tactic.lower()) == sa.any_(columns.tactics)
        has_id = sa.literal(filters.tactic.upper()) == sa.any_(columns.tactic_ids)
        conditions.append(sa.or_(has_name, has_id))
    if filters.platform is not None:
        joined = sa.func.lower(sa.func.array_to_string(columns.platforms, "\n"))
        platforms = sa.func.string_to_array(joined, "\n")
        conditions.append(sa.literal(filters.platform.lower()) == sa.any_(platforms))
    if filters.domain is not None:
        conditions.append(columns.domain == filters.domain)
    if filters.parent is not None:
        conditions.append(columns.parent == filters.parent)
    return conditions

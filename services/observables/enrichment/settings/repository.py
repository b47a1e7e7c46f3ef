"""The SQL of enricher settings."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from services.observables.enrichment.settings.models import SETTING, EnricherSetting
from shared.database import PUBLIC
from shared.sealed_rows import SealedColumn

_COLUMNS: Final = tuple(SETTING.c[name] for name in EnricherSetting._fields)
_LOCK: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtext('sentineliq.enricher_setting'), hashtext(:enricher))"
)


def by_tenant(session: Session, tenant: str) -> list[EnricherSetting]:
    """The tenant's own settings and the operators'."""
    query = sa.select(*_COLUMNS).where(SETTING.c.tenant.in_({tenant, PUBLIC}))
    return [EnricherSetting(*row) for row in session.execute(query)]


def by_owner(session: Session, tenant: str, enricher: str) -> EnricherSetting | None:
    """One setting; None where the tenant has set nothing."""
    query = sa.select(*_COLUMNS).where(SETTING.c.tenant == tenant, SETTING.c.enricher == enricher)
    row = session.execute(query).one_or_none()
    return EnricherSetting(*row) if row else None


def put(
    session: Session, tenant: str, enricher: str, actor: str, now: datetime, values: dict[str, Any]
) -> None:
    """Change some columns of a setting."""
    values = {**values, "changed_at": now, "changed_by": actor}
    statement = insert(SETTING).values(tenant=tenant, enricher=enricher, **values)
    session.execute(
        statement.on_conflict_do_update(index_elements=["tenant", "enricher"], set_=values)
    )


def sealed_keys(places: Callable[[sa.Row[Any]], Iterable[str]]) -> SealedColumn:
    """The column of the keys.

    Args:
        places: returns what the key of a row may be sealed for.
    """
    return SealedColumn(SETTING, "sealed_key", ("tenant", "enricher"), places)


def lock(session: Session, enricher: str) -> None:
    """Keep others from moving this enricher's jobs between keys until the transaction ends."""
    session.execute(_LOCK, {"enricher": enricher})

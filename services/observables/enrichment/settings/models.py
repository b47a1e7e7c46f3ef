"""The table of enricher settings, and its record."""

from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

SETTING: Final = sa.Table(
    "enricher_setting",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("enricher", sa.Text, primary_key=True),
    sa.Column("enabled", sa.Boolean),
    sa.Column("key_id", pg.UUID(as_uuid=True)),
    sa.Column("sealed_key", sa.LargeBinary),
    sa.Column("max_tlp", sa.Text),
    sa.Column("rate_calls", sa.Integer),
    sa.Column("rate_seconds", sa.Float),
    sa.Column("daily", sa.Integer),
    sa.Column("changed_at", sa.DateTime(timezone=True)),
    sa.Column("changed_by", sa.Text),
)


class EnricherSetting(NamedTuple):
    """The settings of one enricher by one tenant.

    Attributes:
        key_id: a new one for each key; None without a key.
        max_tlp: the strictest marking that the provider may receive; None for the default.
        rate_calls: calls in `rate_seconds` by the plan that the key belongs to; None for the
            provider's free rate.
        daily: the plan's calls in a day.
    """

    tenant: str
    enricher: str
    enabled: bool = True
    key_id: UUID | None = None
    sealed_key: bytes | None = None
    max_tlp: str | None = None
    rate_calls: int | None = None
    rate_seconds: float | None = None
    daily: int | None = None

"""Feeds have origins: whose observations they publish, and what they are derived from."""

from pathlib import Path

import sqlalchemy as sa
import yaml
from alembic import op

from services.feeds.catalog.schemas import origin_named

revision = "feeds_0018"
down_revision = "feeds_0017"

SCHEMA = "feeds"
_ENTRIES = Path(__file__).parents[1] / "catalog" / "entries"


def upgrade() -> None:
    """Add the columns; feeds from the catalog get what their entries say now."""
    op.add_column("feed", sa.Column("origin", sa.Text), schema=SCHEMA)
    op.execute(f"ALTER TABLE {SCHEMA}.feed ADD COLUMN derived_from text[] NOT NULL DEFAULT '{{}}'")
    op.execute("SELECT set_config('sentineliq.tenant', '*', true)")
    statement = sa.text(
        f"UPDATE {SCHEMA}.feed SET origin = :origin, derived_from = :derived_from "
        "WHERE catalogue = :slug"
    )
    for path in sorted(_ENTRIES.glob("*.yaml")):
        entry = yaml.safe_load(path.read_text(encoding="utf-8"))
        values = {
            "slug": path.stem,
            "origin": entry.get("origin") or origin_named(entry["provider"]),
            "derived_from": entry.get("derived_from", []),
        }
        op.execute(statement.bindparams(**values))

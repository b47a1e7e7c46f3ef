"""The table of reference data."""

from typing import Final

import sqlalchemy as sa

_TIME: Final = sa.DateTime(timezone=True)

DATASET: Final = sa.Table(
    "dataset",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text),
    sa.Column("packed", sa.LargeBinary),
    sa.Column("origin", sa.Text),
    sa.Column("obtained_at", _TIME),
    sa.Column("checked_at", _TIME),
    sa.Column("described", sa.Text),
    sa.Column("described_as_of", _TIME),
    sa.Column("progress", sa.Text),
    sa.Column("error", sa.Text),
)
"""One row for each dataset, all of the public tenant.

`digest` names the packed bytes, `described` those that every stored observable was last described
with, and `progress` how far the description with the present bytes has come.
"""

"""The table of measured sizes."""

import sqlalchemy as sa

GROWTH_SAMPLE = sa.Table(
    "growth_sample",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("part", sa.Text, primary_key=True),
    sa.Column("sampled_at", sa.DateTime(timezone=True), primary_key=True),
    sa.Column("bytes", sa.BigInteger),
    sa.Column("free_bytes", sa.BigInteger),
)
"""Parts: `disk` is what is used of the file system of the data folder, `database` the database, and
`data/<folder>` a folder of the data folder. `free_bytes` is set for the disk alone."""

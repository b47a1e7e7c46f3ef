"""The tables of the observables service, as the queries name them."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)

HISTORY_DAYS: Final = 400
"""Days for which the tables `*_past` keep what was recorded before."""
SOURCE = sa.Table(
    "source",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("name", sa.Text),
    sa.Column("reliability", sa.SmallInteger),
    sa.Column("tlp", sa.Text),
    sa.Column("kind", sa.Text),
    sa.Column("confirmed_at", _TIME),
    sa.Column("recorded_at", _TIME),
    sa.Column("origin", sa.Text),
    sa.Column("derived_from", pg.ARRAY(sa.Text)),
    sa.Column("measurements", sa.Text),
)
OBSERVABLE = sa.Table(
    "observable",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text(collation="C")),
    sa.Column("score", sa.SmallInteger),
    sa.Column("first_seen", _TIME),
    sa.Column("changed_at", _TIME),
    sa.Column("key", sa.Text(collation="C")),
    sa.Column("context", pg.JSON),
    sa.Column("due_at", _TIME),
    sa.Column("prefix", sa.SmallInteger),
    sa.Column("depth", sa.SmallInteger),
    sa.Column("tlp", sa.Text),
    sa.Column("beginning", sa.Text(collation="C"), sa.FetchedValue()),
)
ASSERTION = sa.Table(
    "assertion",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("observable_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("source_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("confidence", sa.SmallInteger),
    sa.Column("tags", pg.ARRAY(sa.Text)),
    sa.Column("malware", sa.Text),
    sa.Column("first_seen", _TIME),
    sa.Column("last_seen", _TIME),
    sa.Column("valid_until", _TIME),
    sa.Column("retracted_at", _TIME),
    sa.Column("attack", pg.ARRAY(sa.Text)),
    sa.Column("observed_at", _TIME),
    sa.Column("recorded_at", _TIME),
)
ASSERTION_COLUMNS: Final = ", ".join(ASSERTION.c.keys())
"""The columns that `assertion_past` has as well."""
SIGHTING = sa.Table(
    "sighting",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("observable_id", pg.UUID(as_uuid=True)),
    sa.Column("kind", sa.Text),
    sa.Column("count", sa.Integer),
    sa.Column("place", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("first_seen", _TIME),
    sa.Column("last_seen", _TIME),
    sa.Column("actor", sa.Text),
    sa.Column("recorded_at", _TIME),
    sa.Column("withdrawn_at", _TIME),
)
RELATION = sa.Table(
    "relation",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("from_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("to_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("first_seen", _TIME),
    sa.Column("last_seen", _TIME),
    sa.Column("recorded_at", _TIME),
)
RUN_CHUNK = sa.Table(
    "run_chunk",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("run_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("bucket", sa.Integer, primary_key=True),
    sa.Column("chunk", sa.Integer, primary_key=True),
    sa.Column("received", sa.Integer),
    sa.Column("new", sa.Integer),
    sa.Column("changed", sa.Integer),
    sa.Column("rejected", sa.Integer),
    sa.Column("handled_at", _TIME),
    sa.Column("source_id", pg.UUID(as_uuid=True)),
    sa.Column("observed_at", _TIME),
    sa.Column("repeated", sa.LargeBinary),
    sa.Column("statement_chunks", sa.Integer),
    sa.Column("corrected", sa.Integer),
    sa.Column("altered", sa.Integer),
)

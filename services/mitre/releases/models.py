"""The tables of the mitre service, as the queries name them.

ATT&CK is the tenant `public`'s. Objects and techniques are kept by content: one row per different content, and a
release is a list of row ids. So a new release writes only what it changes, and every release can be written again in
full.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)

OBJECT = sa.Table(
    "object",
    _METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("stix_id", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("body", pg.JSON),
)
TECHNIQUE = sa.Table(
    "technique",
    _METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("domain", sa.Text),
    sa.Column("attack_id", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("current", sa.Boolean),
    sa.Column("stix_id", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("description", sa.Text),
    sa.Column("tactics", pg.ARRAY(sa.Text)),
    sa.Column("tactic_ids", pg.ARRAY(sa.Text)),
    sa.Column("platforms", pg.ARRAY(sa.Text)),
    sa.Column("parent", sa.Text),
    sa.Column("revoked", sa.Boolean),
    sa.Column("revoked_by", sa.Text),
    sa.Column("deprecated", sa.Boolean),
    sa.Column("url", sa.Text),
    sa.Column("own_version", sa.Text),
    sa.Column("search", pg.TSVECTOR),
)
RELEASE = sa.Table(
    "release",
    _METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("domain", sa.Text),
    sa.Column("version", sa.Text),
    sa.Column("revision", sa.Integer),
    sa.Column("name", sa.Text),
    sa.Column("bundle_id", sa.Text),
    sa.Column("stix_version", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("objects", pg.ARRAY(sa.BigInteger)),
    sa.Column("techniques", pg.ARRAY(sa.BigInteger)),
    sa.Column("counts", pg.JSONB),
    sa.Column("diff", pg.JSONB),
    sa.Column("previous", sa.Text),
    sa.Column("current", sa.Boolean),
    sa.Column("announced", sa.Boolean),
    sa.Column("cards", sa.SmallInteger),
    sa.Column("loaded_at", _TIME),
)
SOURCE = sa.Table(
    "source",
    _METADATA,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("domain", sa.Text, primary_key=True),
    sa.Column("url", sa.Text),
    sa.Column("enabled", sa.Boolean),
    sa.Column("etag", sa.Text),
    sa.Column("last_modified", sa.Text),
    sa.Column("checked_at", _TIME),
)
LOAD = sa.Table(
    "load",
    _METADATA,
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("domain", sa.Text),
    sa.Column("version", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("url", sa.Text),
    sa.Column("path", sa.Text),
    sa.Column("refresh", sa.Boolean),
    sa.Column("activate", sa.Boolean),
    sa.Column("state", sa.Text),
    sa.Column("attempts", sa.Integer),
    sa.Column("hint_at", _TIME),
    sa.Column("lease_until", _TIME),
    sa.Column("error", pg.JSONB),
    sa.Column("result", pg.JSONB),
    sa.Column("requested_by", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("started_at", _TIME),
    sa.Column("finished_at", _TIME),
)

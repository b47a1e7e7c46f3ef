"""The tables of releases, and a release as the service's rooms pass it on.

ATT&CK is the tenant `public`'s. Objects and techniques are stored by content: one row for each
content, and a release is a list of row ids. So a new release writes only what it changes, and every
release can be written again in full.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

METADATA = sa.MetaData()
_TIME = sa.DateTime(timezone=True)

OBJECT = sa.Table(
    "object",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("stix_id", sa.Text),
    sa.Column("type", sa.Text),
    sa.Column("digest", sa.LargeBinary),
    sa.Column("body", pg.JSON),
)
TECHNIQUE = sa.Table(
    "technique",
    METADATA,
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
    METADATA,
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


@dataclass(frozen=True, slots=True)
class Release:
    """A stored release, without the long lists of its objects and techniques.

    Attributes:
        version: as its collection names it, for instance 18.1.
        revision: counts different contents that came under one version.
        digest: of its content.
        counts: objects by STIX type.
        diff: see `ReleaseDiff`.
        previous: the version that it is compared with.
        current: whether it is the one that counts in its domain.
        announced: whether its event was published.
    """

    id: int
    domain: str
    version: str
    revision: int
    name: str
    bundle_id: str
    stix_version: str
    digest: bytes
    counts: dict[str, int]
    diff: dict[str, Any]
    previous: str | None
    current: bool
    announced: bool
    loaded_at: datetime

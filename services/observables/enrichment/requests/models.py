"""The tables of enrichment requests, and their record."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

REQUEST: Final = sa.Table(
    "enrichment_request",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("requested_by", sa.Text),
    sa.Column("created_at", sa.DateTime(timezone=True)),
)
REQUEST_JOB: Final = sa.Table(
    "enrichment_request_job",
    sa.MetaData(),
    sa.Column("tenant", sa.Text),
    sa.Column("request_id", pg.UUID(as_uuid=True), primary_key=True),
    sa.Column("job_id", pg.UUID(as_uuid=True), primary_key=True),
)


class RequestRow(NamedTuple):
    """A stored enrichment request."""

    id: UUID
    requested_by: str
    created_at: datetime

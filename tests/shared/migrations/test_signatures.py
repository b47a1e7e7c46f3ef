"""From the migration on records are signed; an hour is left for producers that still run."""

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from shared.migrations import require_signatures
from shared.settings import Settings

TABLE = """
CREATE TABLE scratch.consumer_offset (
    consumer_group text, topic text, partition integer, last_offset bigint
)
"""
ADD = "INSERT INTO scratch.consumer_offset VALUES ('g', 't', :partition, 7)"
LOOK = """
SELECT partition, unsigned_until - now() AS rest, refused_count FROM scratch.consumer_offset
ORDER BY partition
"""


def test_only_partitions_that_were_consumed_before_have_an_hour(environment: Settings) -> None:
    url = environment.database_url.get_secret_value()
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        connection.execute(sa.text("CREATE SCHEMA scratch"))
        connection.execute(sa.text(TABLE))
        connection.execute(sa.text(ADD), {"partition": 0})
        with Operations.context(MigrationContext.configure(connection)):
            require_signatures("scratch")
        # As the version before, which knows nothing of the new columns, writes a row.
        connection.execute(sa.text(ADD), {"partition": 1})
        before, after = connection.execute(sa.text(LOOK)).all()
        connection.rollback()
    engine.dispose()
    assert before.rest.total_seconds() == 3600
    assert (after.rest, after.refused_count) == (None, 0)

"""Alembic's environment for the service that the configuration names; Alembic runs it."""

import sqlalchemy as sa
from alembic import context

from shared.database import make_engine
from shared.migrations import create_role
from shared.migrations.upgrade import enter_session, lock_roles
from shared.postgres.conninfo import MIGRATION_LIMITS

attributes = context.config.attributes
service = attributes["service"]
engine = make_engine(
    attributes["url"], MIGRATION_LIMITS, "sentineliq-migrate", poolclass=sa.NullPool
)
with engine.connect() as connection:
    enter_session(connection, service, attributes["patience"])
    lock_roles(connection)
    create_role(connection, service)
    connection.commit()
    context.configure(
        connection=connection,
        version_table_schema=service,
        transactional_ddl=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()

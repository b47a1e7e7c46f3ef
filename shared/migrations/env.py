"""Alembic's environment for the service that the configuration names; Alembic runs it."""

import sqlalchemy as sa
from alembic import context

from shared.migrations import create_role

service = context.config.attributes["service"]
engine = sa.create_engine(context.config.attributes["url"], poolclass=sa.NullPool)
with engine.begin() as connection:
    # Roles belong to the whole PostgreSQL cluster: services that migrate side by side take turns.
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('sentineliq.migrations'))"))
    create_role(connection, service)
    context.configure(connection=connection, version_table_schema=service, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()

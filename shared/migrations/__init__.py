"""Alembic for all services: one environment, one schema and one version table per service."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from shared.database import PLATFORM, PUBLIC, role_name, sqlalchemy_url


def alembic_config(service: str, database_url: str) -> Config:
    """Alembic's configuration for one service's migrations, in `services/<service>/migrations`."""
    config = Config()
    here = Path(__file__).resolve().parent
    config.set_main_option("script_location", str(here))
    config.set_main_option(
        "version_locations", str(here.parents[1] / "services" / service / "migrations")
    )
    config.set_main_option("path_separator", "newline")
    config.attributes["service"] = service
    config.attributes["url"] = sqlalchemy_url(database_url)
    return config


def migrate(service: str, database_url: str) -> None:
    """Bring a service's schema to the newest version. Runs of several processes wait for each other."""
    command.upgrade(alembic_config(service, database_url), "head")


def pending_revisions(service: str, database_url: str) -> list[str]:
    """The revisions that a service's schema still lacks, oldest first."""
    script = ScriptDirectory.from_config(alembic_config(service, database_url))
    engine = sa.create_engine(sqlalchemy_url(database_url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        options = {"version_table_schema": service}
        heads = MigrationContext.configure(connection, opts=options).get_current_heads()
    missing = script.iterate_revisions("head", heads[0] if heads else "base")
    return [revision.revision for revision in missing if revision.revision not in heads][::-1]


def protect(table: str, service: str) -> None:
    """Put a table that has a `tenant` column under row-level security.

    Read: the transaction's tenant and `public`. Write: the transaction's tenant only. The platform's own transactions
    see all. With no tenant set, `current_setting` gives NULL or an empty text and every comparison fails closed.
    """
    current = "(SELECT current_setting('sentineliq.tenant', true))"
    platform = f"{current} = '{PLATFORM}'"
    name = f"{service}.{table}"
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    readable = f"tenant = {current} OR (tenant = '{PUBLIC}' AND {current} <> '') OR {platform}"
    op.execute(f"CREATE POLICY reads ON {name} FOR SELECT USING ({readable})")
    for verb, clauses in (
        ("INSERT", "WITH CHECK"),
        ("UPDATE", "USING"),
        ("DELETE", "USING"),
    ):
        op.execute(
            f"CREATE POLICY {verb.lower()}s ON {name} FOR {verb} {clauses} (tenant = {current} OR {platform})"
        )


def create_infrastructure(service: str) -> None:
    """The tables that every service has: its outbox and the offsets of its consumers."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("key", sa.LargeBinary),
        sa.Column("headers", sa.JSON, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        schema=service,
    )
    # Payloads are bulk JSON that lives for milliseconds: compressing them costs more than it saves.
    op.execute(f"ALTER TABLE {service}.outbox ALTER COLUMN payload SET STORAGE EXTERNAL")
    op.execute(
        f"CREATE FUNCTION {service}.wake_relay() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_notify('{service}_outbox', ''); RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER wake_relay AFTER INSERT ON {service}.outbox "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {service}.wake_relay()"
    )
    op.create_table(
        "consumer_offset",
        sa.Column("consumer_group", sa.Text, primary_key=True),
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("last_offset", sa.BigInteger, nullable=False),
        schema=service,
    )
    protect("outbox", service)


def create_role(connection: sa.Connection, service: str) -> None:
    """The service's unprivileged role, with rights on its own schema and nothing else."""
    role = role_name(service)
    connection.execute(
        sa.text(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
            f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS; END IF; END $$"
        )
    )
    for statement in (
        f"GRANT {role} TO CURRENT_USER",
        f"CREATE SCHEMA IF NOT EXISTS {service}",
        f"GRANT USAGE ON SCHEMA {service} TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT USAGE ON SEQUENCES TO {role}",
    ):
        connection.execute(sa.text(statement))

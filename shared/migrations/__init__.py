"""Alembic for all services: one environment, and a schema and version table per service."""

from typing import Final

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.database import PLATFORM, PUBLIC, role_name
from shared.migrations.indexes import build_index
from shared.migrations.logins import drop_login, make_login
from shared.migrations.upgrade import alembic_config, migrate, pending_revisions

__all__ = [
    "alembic_config",
    "build_index",
    "chain_audit",
    "create_audit",
    "create_infrastructure",
    "create_quotas",
    "create_role",
    "create_sweep",
    "create_tokens",
    "drop_login",
    "extend_offsets",
    "make_login",
    "migrate",
    "pending_revisions",
    "protect",
]


_TENANT: Final = "(SELECT current_setting('sentineliq.tenant', true))"
_IS_PLATFORM: Final = f"{_TENANT} = '{PLATFORM}'"


def protect(table: str, service: str) -> None:
    """Put a table with a `tenant` column under row-level security.

    Read: the transaction's tenant and `public`. Write: the transaction's tenant only. Transactions
    of the platform see all rows. With no tenant set, `current_setting` returns NULL or '', and
    every comparison fails closed.
    """
    current = _TENANT
    platform = _IS_PLATFORM
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
            f"CREATE POLICY {verb.lower()}s ON {name} "
            f"FOR {verb} {clauses} (tenant = {current} OR {platform})"
        )


def create_infrastructure(service: str) -> None:
    """Create the tables that every service has: the outbox and the offsets of its consumers."""
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
    # Payloads live for milliseconds: compressing them costs more than it saves.
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


def extend_outbox(service: str) -> None:
    """Let the outbox keep what was published for a while, and park what cannot be published.

    A relay of the version before sees the kept rows as unpublished: while both versions run, it
    publishes them a second time with the same ids, and deletes them.
    """
    moment = "timestamp with time zone"
    op.execute(
        f"ALTER TABLE {service}.outbox "
        f"ADD COLUMN created_at {moment} NOT NULL DEFAULT now(), "
        f"ADD COLUMN published_at {moment}, "
        "ADD COLUMN attempts smallint NOT NULL DEFAULT 0, "
        f"ADD COLUMN retry_at {moment}, "
        f"ADD COLUMN parked_at {moment}, "
        "ADD COLUMN error text"
    )
    for name, columns, rows in (
        ("waiting", "id", "published_at IS NULL AND parked_at IS NULL"),
        ("refused", "id", "retry_at IS NOT NULL AND published_at IS NULL AND parked_at IS NULL"),
        ("published", "published_at", "published_at IS NOT NULL"),
        ("parked", "id", "parked_at IS NOT NULL"),
    ):
        op.execute(f"CREATE INDEX outbox_{name} ON {service}.outbox ({columns}) WHERE {rows}")


def require_signatures(service: str) -> None:
    """Let consumers count records that they pass over, and want signed ones from now on.

    Producers of the version before sign nothing, and run on for a while: what the broker takes
    within an hour from now may be unsigned, in partitions that were consumed before. New ones, and
    those of a service that is new, begin without such a time.
    """
    moment = "timestamp with time zone"
    op.execute(
        f"ALTER TABLE {service}.consumer_offset "
        f"ADD COLUMN unsigned_until {moment}, "
        "ADD COLUMN refused_count bigint NOT NULL DEFAULT 0, "
        "ADD COLUMN refused_first bigint NOT NULL DEFAULT -1, "
        "ADD COLUMN refused_last bigint NOT NULL DEFAULT -1, "
        "ADD COLUMN refused_reason text NOT NULL DEFAULT '', "
        f"ADD COLUMN refusals_reported_at {moment}"
    )
    op.execute(f"UPDATE {service}.consumer_offset SET unsigned_until = now() + interval '1 hour'")


def create_sweep(service: str) -> None:
    """Create the table of a service's sweeps: when each is due, and which consumer runs it."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "sweep",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("due_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("holder", sa.Uuid),
        sa.Column("lease_until", moment),
        sa.Column("started_at", moment),
        sa.Column("finished_at", moment),
        sa.Column("error", sa.Text),
        schema=service,
    )


def extend_offsets(service: str) -> None:
    """Let consumers know the last record that they applied, count their dead letters, and halt.

    Creates the table of gaps: places where a log had lost records that consumers had to expect.
    """
    moment = sa.DateTime(timezone=True)
    for column in (
        sa.Column("last_timestamp", sa.BigInteger),
        sa.Column("last_digest", sa.LargeBinary),
        sa.Column("last_event_id", sa.Text),
        sa.Column("dead_offsets", pg.ARRAY(sa.BigInteger), nullable=False, server_default="{}"),
        sa.Column("dead_allowance", sa.Integer, nullable=False, server_default="0"),
        sa.Column("halted_at", moment),
        sa.Column("halted_reason", sa.Text),
        sa.Column("halted_version", sa.Text),
    ):
        op.add_column("consumer_offset", column, schema=service)
    op.create_table(
        "log_gap",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("consumer_group", sa.Text, nullable=False),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("last_offset", sa.BigInteger, nullable=False),
        sa.Column("last_timestamp", sa.BigInteger),
        sa.Column("log_start", sa.BigInteger, nullable=False),
        sa.Column("log_end", sa.BigInteger, nullable=False),
        sa.Column("resumed_at", sa.BigInteger, nullable=False),
        sa.Column("noticed_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("repaired_at", moment),
        sa.Column("repair", sa.Text),
        schema=service,
    )


def create_audit(service: str) -> None:
    """Create the audit: the service's role appends and reads; a function deletes what is old.

    Not even the rows of `public` are for other tenants to read.
    """
    table = f"{service}.audit"
    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("details", pg.JSONB, nullable=False, server_default="{}"),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.func.now(),
        ),
        schema=service,
    )
    op.create_index("audit_of_tenant", "audit", ["tenant", "id"], schema=service)
    protect("audit", service)
    op.execute(f"ALTER POLICY reads ON {table} USING (tenant = {_TENANT} OR {_IS_PLATFORM})")
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM {role_name(service)}")
    # It runs with the rights of the tables' owner. Rows leave in the order in which they came.
    op.execute(
        f"CREATE FUNCTION {service}.prune_audit(before timestamptz, most integer) RETURNS integer "
        f"LANGUAGE plpgsql SECURITY DEFINER SET search_path = {service}, pg_temp AS $$ "
        "DECLARE deleted integer; BEGIN "
        "IF before > now() - interval '30 days' THEN "
        "RAISE EXCEPTION 'The audit of the last 30 days stays.'; END IF; "
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} "
        "WHERE recorded_at < before ORDER BY id LIMIT most); "
        "GET DIAGNOSTICS deleted = ROW_COUNT; RETURN deleted; END $$"
    )
    op.execute(f"REVOKE EXECUTE ON FUNCTION {service}.prune_audit FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {service}.prune_audit TO {role_name(service)}")


def chain_audit(service: str) -> None:
    """Let audit records name the fields that changed, and follow each other by digests.

    A record of the version before has no place in the chain; a process of that version that still
    runs adds records which the trigger chains as well.
    """
    table = f"{service}.audit"
    op.execute(
        f"ALTER TABLE {table} ADD COLUMN changes jsonb NOT NULL DEFAULT '{{}}', "
        "ADD COLUMN position bigint, ADD COLUMN previous bytea, ADD COLUMN digest bytea"
    )
    op.execute(
        f"CREATE FUNCTION {service}.audit_digest(record {table}) RETURNS bytea "
        "LANGUAGE sql STABLE AS $$ SELECT sha256(convert_to(jsonb_build_array("
        "encode(record.previous, 'hex'), record.position, record.tenant, record.actor, "
        "record.action, record.target, record.details, record.changes, "
        "extract(epoch FROM record.recorded_at))::text, 'UTF8')) $$"
    )
    op.execute(
        f"CREATE FUNCTION {service}.chain_audit() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN "
        # Records of one tenant are written one after the other, until each has committed.
        f"PERFORM pg_advisory_xact_lock(hashtextextended('{table} ' || NEW.tenant, 0)); "
        f"SELECT position, digest INTO NEW.position, NEW.previous FROM {table} "
        "WHERE tenant = NEW.tenant AND position IS NOT NULL ORDER BY position DESC LIMIT 1; "
        "NEW.position := coalesce(NEW.position, 0) + 1; "
        f"NEW.digest := {service}.audit_digest(NEW); RETURN NEW; END $$"
    )
    op.execute(
        f"CREATE TRIGGER chain BEFORE INSERT ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {service}.chain_audit()"
    )


def create_tokens(service: str) -> None:
    """Create the table of the tokens that the service has seen, or accepts no more.

    Not even those of `public` are for other tenants to read.
    """
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "token",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("actor", sa.Text),
        sa.Column("role", sa.Text),
        sa.Column("issued_at", moment),
        sa.Column("expires_at", moment, nullable=False),
        sa.Column("seen_at", moment),
        sa.Column("revoked_at", moment),
        sa.Column("revoked_by", sa.Text),
        schema=service,
    )
    protect("token", service)
    op.execute(
        f"ALTER POLICY reads ON {service}.token USING (tenant = {_TENANT} OR {_IS_PLATFORM})"
    )


def create_quotas(service: str) -> None:
    """Create the tables of quotas: the limits that operators set, and what tenants use in a time.

    Not even those of `public` are for other tenants to read.
    """
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "quota",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("most", sa.BigInteger, nullable=False),
        sa.Column("changed_at", moment, nullable=False, server_default=sa.func.now()),
        sa.Column("changed_by", sa.Text, nullable=False),
        schema=service,
    )
    op.create_table(
        "quota_use",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("started_at", moment, nullable=False, server_default=sa.func.now()),
        schema=service,
    )
    for table in ("quota", "quota_use"):
        protect(table, service)
        op.execute(
            f"ALTER POLICY reads ON {service}.{table} USING (tenant = {_TENANT} OR {_IS_PLATFORM})"
        )


def create_role(connection: sa.Connection, service: str) -> None:
    """Create the service's unprivileged role, with rights on its own schema only."""
    role = role_name(service)
    connection.execute(
        sa.text(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN "
            f"CREATE ROLE {role} NOLOGIN NOSUPERUSER NOBYPASSRLS; END IF; END $$"
        )
    )
    default_grant = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {service} GRANT"
    for statement in (
        f"GRANT {role} TO CURRENT_USER",
        f"CREATE SCHEMA IF NOT EXISTS {service}",
        f"GRANT USAGE ON SCHEMA {service} TO {role}",
        f"{default_grant} SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}",
        f"{default_grant} USAGE ON SEQUENCES TO {role}",
    ):
        connection.execute(sa.text(statement))

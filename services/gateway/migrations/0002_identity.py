"""Identity: tenants, persons, members, invitations, credentials, sessions, API keys."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql as pg

from shared.migrations import protect
from shared.tenants import PLATFORM

revision = "gateway_0002"
down_revision = "gateway_0001"

SCHEMA = "gateway"
MOMENT = sa.DateTime(timezone=True)
ID = pg.UUID(as_uuid=True)
CURRENT = "(SELECT current_setting('sentineliq.tenant', true))"
VISIBLE = f"tenant = {CURRENT} OR {CURRENT} = '{PLATFORM}'"


def column(name: str, kind: Any) -> sa.Column[Any]:
    """A column that always has a value."""
    return sa.Column(name, kind, nullable=False)


def moment(name: str) -> sa.Column[Any]:
    """A time that is now, unless something else is said."""
    return sa.Column(name, MOMENT, nullable=False, server_default=sa.func.now())


def tenant() -> sa.Column[Any]:
    """The tenant of a row."""
    return column("tenant", sa.Text)


def guard(table: str) -> None:
    """Let nobody but the row's own tenant, and the platform, read it."""
    protect(table, SCHEMA)
    op.execute(f"ALTER POLICY reads ON {SCHEMA}.{table} USING ({VISIBLE})")


def person_reference() -> sa.Column[Any]:
    """The person of a row; the row goes with the person."""
    return sa.Column(
        "person_id", ID, sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE"), nullable=False
    )


def create_people() -> None:
    """Tenants, persons, members and invitations."""
    op.create_table(
        "tenant",
        sa.Column("tenant", sa.Text, primary_key=True),
        column("title", sa.Text),
        moment("created_at"),
        sa.Column("frozen_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_table(
        "person",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("login", sa.Text, nullable=False, unique=True),
        column("name", sa.Text),
        sa.Column("is_break_glass", sa.Boolean, nullable=False, server_default=sa.false()),
        moment("created_at"),
        sa.Column("frozen_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_table(
        "member",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column(
            "person_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        column("role", sa.Text),
        column("origin", sa.Text),
        moment("created_at"),
        column("created_by", sa.Text),
        sa.Column("frozen_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_index("member_of_person", "member", ["person_id"], schema=SCHEMA)
    op.create_table(
        "invitation",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        column("role", sa.Text),
        sa.Column("person_id", ID, sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE")),
        sa.Column("login", sa.Text),
        moment("created_at"),
        column("created_by", sa.Text),
        column("expires_at", MOMENT),
        sa.Column("accepted_at", MOMENT),
        sa.Column("accepted_by", sa.Text),
        sa.Column("withdrawn_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_index("invitation_of_tenant", "invitation", ["tenant", "id"], schema=SCHEMA)
    for table in ("tenant", "member", "invitation", "person"):
        guard(table)
    # A tenant sees the persons who are its members.
    op.execute(
        f"ALTER POLICY reads ON {SCHEMA}.person USING ({VISIBLE} OR EXISTS ("
        f"SELECT FROM {SCHEMA}.member WHERE member.person_id = person.id))"
    )


def create_credentials() -> None:
    """Passwords, guesses, one-time codes, recovery codes and passkeys."""
    op.create_table(
        "password",
        sa.Column(
            "person_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        tenant(),
        column("hash", sa.Text),
        moment("changed_at"),
        schema=SCHEMA,
    )
    op.create_table(
        "guess",
        sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
        tenant(),
        column("subject", sa.LargeBinary),
        moment("guessed_at"),
        schema=SCHEMA,
    )
    op.create_index("guess_at_subject", "guess", ["subject", "guessed_at"], schema=SCHEMA)
    op.create_table(
        "one_time_code",
        sa.Column(
            "person_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        tenant(),
        column("secret", sa.LargeBinary),
        moment("created_at"),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("last_step", sa.BigInteger, nullable=False, server_default="0"),
        schema=SCHEMA,
    )
    op.create_table(
        "recovery_code",
        sa.Column(
            "person_id",
            ID,
            sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        tenant(),
        moment("created_at"),
        sa.Column("used_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_table(
        "passkey",
        sa.Column("credential_id", sa.LargeBinary, primary_key=True),
        tenant(),
        person_reference(),
        column("name", sa.Text),
        column("public_key", sa.LargeBinary),
        column("sign_count", sa.BigInteger),
        column("is_backed_up", sa.Boolean),
        moment("created_at"),
        sa.Column("used_at", MOMENT),
        schema=SCHEMA,
    )
    op.create_index("passkey_of_person", "passkey", ["person_id"], schema=SCHEMA)
    op.create_table(
        "passkey_challenge",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("person_id", ID, sa.ForeignKey(f"{SCHEMA}.person.id", ondelete="CASCADE")),
        column("challenge", sa.LargeBinary),
        column("expires_at", MOMENT),
        schema=SCHEMA,
    )
    for table in (
        "password",
        "guess",
        "one_time_code",
        "recovery_code",
        "passkey",
        "passkey_challenge",
    ):
        guard(table)


def create_access() -> None:
    """Sessions and API keys."""
    op.create_table(
        "session",
        sa.Column("id", ID, primary_key=True),
        tenant(),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        person_reference(),
        sa.Column("chosen_tenant", sa.Text),
        column("kind", sa.Text),
        column("methods", pg.ARRAY(sa.Text)),
        sa.Column("provider", sa.Text),
        sa.Column("provider_session", sa.Text),
        column("address", sa.Text),
        column("agent", sa.Text),
        moment("created_at"),
        moment("seen_at"),
        column("expires_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("ended_by", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("session_of_person", "session", ["person_id"], schema=SCHEMA)
    op.create_table(
        "api_key",
        sa.Column("id", sa.Text, primary_key=True),
        tenant(),
        column("digest", sa.LargeBinary),
        column("name", sa.Text),
        person_reference(),
        column("role", sa.Text),
        sa.Column("scopes", pg.ARRAY(sa.Text)),
        column("networks", pg.ARRAY(sa.Text)),
        moment("created_at"),
        column("created_by", sa.Text),
        column("expires_at", MOMENT),
        sa.Column("used_at", MOMENT),
        sa.Column("used_from", sa.Text),
        sa.Column("revoked_at", MOMENT),
        sa.Column("revoked_by", sa.Text),
        sa.Column("successor", sa.Text),
        schema=SCHEMA,
    )
    op.create_index("api_key_of_tenant", "api_key", ["tenant", "id"], schema=SCHEMA)
    guard("session")
    guard("api_key")


def upgrade() -> None:
    """Create the tables."""
    create_people()
    create_credentials()
    create_access()

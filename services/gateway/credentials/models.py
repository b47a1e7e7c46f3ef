"""The tables of credentials, which are a person's alone: no tenant reads them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

_TIME = sa.DateTime(timezone=True)
_ID = pg.UUID(as_uuid=True)

PASSWORD = sa.Table(
    "password",
    sa.MetaData(),
    sa.Column("person_id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("hash", sa.Text),
    sa.Column("changed_at", _TIME),
)

GUESS = sa.Table(
    "guess",
    sa.MetaData(),
    sa.Column("id", sa.BigInteger, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("subject", sa.LargeBinary),
    sa.Column("guessed_at", _TIME),
)
"""`subject` is a digest of what is guessed: of a login, whether anybody has it or not."""

ONE_TIME_CODE = sa.Table(
    "one_time_code",
    sa.MetaData(),
    sa.Column("person_id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("secret", sa.LargeBinary),
    sa.Column("created_at", _TIME),
    sa.Column("confirmed_at", _TIME),
    sa.Column("last_step", sa.BigInteger),
)
"""`last_step` is the time step of the last code that was accepted: no earlier one counts again."""

RECOVERY_CODE = sa.Table(
    "recovery_code",
    sa.MetaData(),
    sa.Column("person_id", _ID, primary_key=True),
    sa.Column("digest", sa.LargeBinary, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("created_at", _TIME),
    sa.Column("used_at", _TIME),
)

PASSKEY = sa.Table(
    "passkey",
    sa.MetaData(),
    sa.Column("credential_id", sa.LargeBinary, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("person_id", _ID),
    sa.Column("name", sa.Text),
    sa.Column("public_key", sa.LargeBinary),
    sa.Column("sign_count", sa.BigInteger),
    sa.Column("is_backed_up", sa.Boolean),
    sa.Column("created_at", _TIME),
    sa.Column("used_at", _TIME),
)

PASSKEY_CHALLENGE = sa.Table(
    "passkey_challenge",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("tenant", sa.Text),
    sa.Column("person_id", _ID),
    sa.Column("challenge", sa.LargeBinary),
    sa.Column("expires_at", _TIME),
)
"""`person_id` is set while a passkey is registered; a challenge of a sign-in has none."""


@dataclass(frozen=True, slots=True)
class StoredOneTimeCode:
    """The sealed secret of a person's one-time codes."""

    person_id: UUID
    secret: bytes
    confirmed_at: datetime | None
    last_step: int


@dataclass(frozen=True, slots=True)
class StoredPasskey:
    """A passkey: its public half."""

    credential_id: bytes
    person_id: UUID
    name: str
    public_key: bytes
    sign_count: int
    is_backed_up: bool
    created_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredChallenge:
    """What an authenticator has to sign, once."""

    id: UUID
    person_id: UUID | None
    challenge: bytes


def place_of(person_id: UUID) -> str:
    """Return the place that the secret of a person's codes is sealed for."""
    return f"one_time_code {person_id}"

"""The tokens that a service has seen, and those that it accepts no more.

Each service has a table `token` in its schema. A row says when a token was last seen, and when it
was revoked, if it was. Its processes read the revoked ones every two seconds: a token ends at most
that much later. While the database does not answer, what was read before holds.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from shared.auth import Principal, Role
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import Unauthenticated, Unavailable
from shared.telemetry.logging import get_logger
from shared.tokens import MAX_LIFETIME

log = get_logger(__name__)

TOKEN: Final = sa.Table(
    "token",
    sa.MetaData(),
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("actor", sa.Text),
    sa.Column("role", sa.Text),
    sa.Column("issued_at", sa.DateTime(timezone=True)),
    sa.Column("expires_at", sa.DateTime(timezone=True)),
    sa.Column("seen_at", sa.DateTime(timezone=True)),
    sa.Column("revoked_at", sa.DateTime(timezone=True)),
    sa.Column("revoked_by", sa.Text),
)
READ_SECONDS: Final = 2.0
_WRITE_SECONDS: Final = 10.0
_SHORT_SECONDS: Final = 3600.0
"""Tokens of a shorter life are not listed: the command line makes one for each call."""


@dataclass(frozen=True, slots=True)
class SeenToken:
    """A token of the list.

    Attributes:
        actor: its subject; None, as other fields, of a token that was revoked before it was seen.
        seen_at: when it was last used, to some seconds.
    """

    tenant: str
    id: str
    actor: str | None
    role: str | None
    issued_at: datetime | None
    expires_at: datetime
    seen_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None


def list_tokens(session: Session, after: tuple[str, str] | None, limit: int) -> Sequence[SeenToken]:
    """Return the tokens of the transaction's tenant that have not expired, by tenant and id."""
    query = sa.select(TOKEN).where(TOKEN.c.expires_at > sa.func.now())
    if after is not None:
        query = query.where(sa.tuple_(TOKEN.c.tenant, TOKEN.c.id) > sa.tuple_(*after))
    query = query.order_by(TOKEN.c.tenant, TOKEN.c.id).limit(limit)
    return [SeenToken(*row) for row in session.execute(query)]


def revoke_token(session: Session, principal: Principal, token_id: str) -> None:
    """Accept a token no more: one of the principal's tenant, or for an operator of any."""
    is_operator = principal.role >= Role.operator
    values = {"revoked_at": sa.func.now(), "revoked_by": principal.actor}
    if is_operator:
        update = sa.update(TOKEN).where(TOKEN.c.id == token_id, TOKEN.c.revoked_at.is_(None))
        session.execute(update.values(**values))
    statement = insert(TOKEN).values(
        tenant=PUBLIC if is_operator else principal.tenant,
        id=token_id,
        expires_at=sa.func.now() + MAX_LIFETIME,
        **values,
    )
    # A token that was revoked before stays so, with the time and the person of before.
    present = sa.func.coalesce
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant", "id"],
            set_={
                "revoked_at": present(TOKEN.c.revoked_at, statement.excluded.revoked_at),
                "revoked_by": present(TOKEN.c.revoked_by, statement.excluded.revoked_by),
            },
        )
    )


class TokenRegistry:
    """The tokens of one process.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revoked: frozenset[tuple[str, str]] = frozenset()
        self._seen: dict[tuple[str, str], Principal] = {}

    def check(self, principal: Principal) -> None:
        """Require that a principal's token was not revoked, and note that it was seen.

        Raises:
            Unauthenticated: it was.
        """
        facts = principal.token
        if facts is None:
            return
        key = (principal.tenant, facts.id)
        if self._revoked and (key in self._revoked or (PUBLIC, facts.id) in self._revoked):
            raise Unauthenticated("The token was revoked.")
        if facts.expires_at - facts.issued_at > _SHORT_SECONDS:
            self._seen[key] = principal

    def read(self) -> None:
        """Read the revoked tokens.

        Raises:
            Unavailable: the database does not answer.
        """
        query = sa.select(TOKEN.c.tenant, TOKEN.c.id)
        query = query.where(TOKEN.c.revoked_at.is_not(None), TOKEN.c.expires_at > sa.func.now())
        with self._database.transaction(PLATFORM) as session:
            self._revoked = frozenset((row.tenant, row.id) for row in session.execute(query))

    def write(self) -> None:
        """Write which tokens were seen since the last time.

        Raises:
            Unavailable: the database does not answer.
        """
        seen = self._seen
        self._seen = {}
        if not seen:
            return
        rows = [_row(principal) for principal in seen.values()]
        statement = insert(TOKEN)
        names = ("actor", "role", "issued_at", "expires_at", "seen_at")
        values = {name: statement.excluded[name] for name in names}
        with self._database.transaction(PLATFORM) as session:
            session.execute(
                statement.on_conflict_do_update(index_elements=["tenant", "id"], set_=values),
                sorted(rows, key=lambda row: (str(row["tenant"]), str(row["id"]))),
            )

    async def run(self, stopping: asyncio.Event) -> None:
        """Read and write until the process stops; a transaction under way comes to its end."""
        loop = asyncio.get_running_loop()
        written_at = loop.time()
        is_known = True
        while not stopping.is_set():
            try:
                await asyncio.to_thread(self.read)
                if loop.time() - written_at >= _WRITE_SECONDS:
                    written_at = loop.time()
                    await asyncio.to_thread(self.write)
                is_known = True
            except (Unavailable, DBAPIError) as error:
                # Also of a schema that is not migrated yet: the API answers for itself.
                if is_known:
                    log.warning("tokens.not_read", reason=str(error))
                is_known = False
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), READ_SECONDS)


def _row(principal: Principal) -> dict[str, object]:
    facts = principal.token
    assert facts is not None  # noqa: S101  # `check` notes no other
    return {
        "tenant": principal.tenant,
        "id": facts.id,
        "actor": principal.actor,
        "role": principal.role.name,
        "issued_at": datetime.fromtimestamp(facts.issued_at, UTC),
        "expires_at": datetime.fromtimestamp(facts.expires_at, UTC),
        "seen_at": datetime.now(UTC),
    }

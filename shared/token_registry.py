"""The tokens that a service has seen, and those that it accepts no more.

Each service has a table `token` in its schema. A row says when a token was last seen, and when it
was revoked, if it was. Its processes read every two seconds which were revoked since: a token ends
at most that much later. While the database does not answer, what was read before holds.

Other rows end more than one token; the gateway tells of them (`shared.revocations`). The id of a
grant ends its access tokens, `actor:<name>` what was issued to somebody before a time, and
`tenant:` all tokens of a frozen tenant but those of operators, who freeze it and let it act again.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import floor
from threading import Lock
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from shared.auth import Principal, Role
from shared.database import PLATFORM, PUBLIC, Database
from shared.errors import QuotaExceeded, Unauthenticated, Unavailable
from shared.frozen_tenants import FROZEN
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
ACTOR: Final = "actor:"
"""What the id of a row begins with that ends earlier tokens of somebody; `issued_at` says which."""
MAX_UNSEEN: Final = 10_000
"""Tokens that a tenant may revoke although this service has never seen them."""
_IS_TOKEN: Final = TOKEN.c.id.not_like("%:%")
_IS_FROZEN: Final = sa.and_(TOKEN.c.id == FROZEN, TOKEN.c.revoked_at.is_not(None))
_WHOLE_SECONDS: Final = 600.0
"""Seconds after which all revoked tokens are read again, not only those that were added."""
_OVERLAP: Final = timedelta(minutes=5)
"""How much later than its `revoked_at` a row may be committed; transactions are limited to less."""
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
    query = sa.select(TOKEN).where(TOKEN.c.expires_at > sa.func.now(), _IS_TOKEN)
    if after is not None:
        query = query.where(sa.tuple_(TOKEN.c.tenant, TOKEN.c.id) > sa.tuple_(*after))
    query = query.order_by(TOKEN.c.tenant, TOKEN.c.id).limit(limit)
    return [SeenToken(*row) for row in session.execute(query)]


def revoke_token(session: Session, principal: Principal, token_id: str) -> None:
    """Accept a token no more: one of the principal's tenant, or for an operator of any.

    Raises:
        QuotaExceeded: the tenant has revoked `MAX_UNSEEN` tokens that nobody has used here.
    """
    is_operator = principal.role >= Role.operator
    values = {"revoked_at": sa.func.now(), "revoked_by": principal.actor}
    if is_operator:
        update = sa.update(TOKEN).where(TOKEN.c.id == token_id, TOKEN.c.revoked_at.is_(None))
        session.execute(update.values(**values))
    else:
        _require_room(session, principal.tenant, token_id)
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


def _require_room(session: Session, tenant: str, token_id: str) -> None:
    """Require that a tenant may revoke a token that was perhaps never seen.

    Each process reads all revoked tokens, and each revocation is a row, an event and a line of the
    audit: without a limit one tenant's made-up ids would cost all others.
    """
    own = TOKEN.c.tenant == tenant
    is_stored = sa.exists().where(own, TOKEN.c.id == token_id)
    unseen = sa.select(TOKEN.c.id).where(
        own,
        _IS_TOKEN,
        TOKEN.c.seen_at.is_(None),
        TOKEN.c.revoked_at.is_not(None),
        TOKEN.c.expires_at > sa.func.now(),
    )
    rows = unseen.order_by(TOKEN.c.id).limit(MAX_UNSEEN).subquery()
    count = sa.select(sa.func.count()).select_from(rows).scalar_subquery()
    stored, number = session.execute(sa.select(is_stored, count)).one()
    if not stored and number >= MAX_UNSEEN:
        raise QuotaExceeded(
            f"{MAX_UNSEEN:,} tokens are revoked that this service has never seen. Revoke tokens "
            "that `sentineliq tokens list` shows, or let an operator rotate the signing key.",
            quota="revoked_tokens",
        )


class TokenRegistry:
    """The tokens of one process.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._revoked: dict[tuple[str, str], datetime] = {}
        self._cutoffs: dict[tuple[str, str], float] = {}
        self._frozen: frozenset[str] = frozenset()
        self._reading = Lock()
        self._read_at: datetime | None = None
        self._whole_at: datetime | None = None
        self._seen: dict[tuple[str, str], Principal] = {}

    def check(self, principal: Principal) -> None:
        """Require that a principal's token was not revoked, and note that it was seen.

        Raises:
            Unauthenticated: it was.
        """
        if principal.tenant in self._frozen and principal.role < Role.operator:
            raise Unauthenticated("The tenant is frozen: ask an operator.")
        facts = principal.token
        if facts is None:
            return
        key = (principal.tenant, facts.id)
        if self._revoked and (key in self._revoked or (PUBLIC, facts.id) in self._revoked):
            raise Unauthenticated("The token was revoked.")
        if self._revoked and facts.grant and (PUBLIC, facts.grant) in self._revoked:
            raise Unauthenticated("The session, key or client of the token has ended.")
        if self._cutoffs and facts.issued_at < self.cutoff(principal):
            raise Unauthenticated("What you may do has changed since the token was made.")
        if facts.expires_at - facts.issued_at > _SHORT_SECONDS:
            self._seen[key] = principal

    def cutoff(self, principal: Principal) -> float:
        """The time, in whole seconds since 1970, before which an actor's tokens have ended."""
        return self._cutoffs.get((principal.tenant, principal.actor), 0.0)

    def read(self) -> None:
        """Read the tokens that were revoked since the last time, and all of them now and then.

        Of two at a time the second waits: the first has perhaps looked before a revocation.

        Raises:
            Unavailable: the database does not answer.
        """
        with self._reading:
            self._read()

    def _read(self) -> None:
        query = sa.select(TOKEN.c.tenant, TOKEN.c.id, TOKEN.c.expires_at, TOKEN.c.issued_at)
        query = query.where(TOKEN.c.revoked_at.is_not(None), TOKEN.c.expires_at > sa.func.now())
        with self._database.transaction(PLATFORM) as session:
            now = session.execute(sa.select(sa.func.now())).scalar_one()
            is_whole = (
                self._read_at is None
                or self._whole_at is None
                or not self._whole_at <= now < self._whole_at + timedelta(seconds=_WHOLE_SECONDS)
            )
            if self._read_at is not None and not is_whole:
                recent = TOKEN.c.revoked_at > self._read_at - _OVERLAP
                query = query.where(sa.or_(recent, _IS_FROZEN))
            rows = session.execute(query).all()
        frozen = frozenset(row.tenant for row in rows if row.id == FROZEN)
        cutoffs = {
            (row.tenant, row.id.removeprefix(ACTOR)): float(floor(row.issued_at.timestamp()))
            for row in rows
            if row.id.startswith(ACTOR) and row.issued_at is not None
        }
        revoked = {(row.tenant, row.id): row.expires_at for row in rows if row.id != FROZEN}
        if is_whole:
            self._whole_at = now
        else:
            revoked = self._revoked | revoked
            cutoffs = self._cutoffs | cutoffs
        # Replaced as a whole: requests look at it meanwhile.
        self._revoked = revoked
        self._cutoffs = cutoffs
        self._frozen = frozen
        self._read_at = now

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

"""The routes of tokens: which a service has seen, and the end of one."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, ConfigDict

from shared import revocations
from shared.auth import Principal, Role
from shared.database import PLATFORM, Database
from shared.kafka.outbox import audit
from shared.pagination import Page, PageSchema, decode_cursor, paginate
from shared.tenants import PUBLIC
from shared.token_registry import SeenToken, list_tokens, revoke_token
from shared.web.app import database_of, require_permission

Reader = Annotated[Principal, require_permission("tokens:read")]
Revoker = Annotated[Principal, require_permission("tokens:revoke")]
OwnDatabase = Annotated[Database, Depends(database_of)]
Limit = Annotated[int, Query(ge=1, le=1000)]
After = Annotated[str | None, Query(max_length=1000, description="`next` of the page before.")]
TokenId = Annotated[
    str, Path(max_length=32, pattern=r"^[0-9a-f]{32}$", description="the claim `jti`")
]

router = APIRouter(prefix="/v1/tokens", tags=["tokens"])


class TokenView(BaseModel):
    """A token that this service has seen, or was told to accept no more; never the token itself."""

    model_config = ConfigDict(from_attributes=True)

    tenant: str
    id: str
    actor: str | None
    role: str | None
    issued_at: datetime | None
    expires_at: datetime
    seen_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None


@router.get("", response_model=PageSchema[TokenView])
def get_tokens(
    principal: Reader, database: OwnDatabase, limit: Limit = 100, after: After = None
) -> Page[TokenView]:
    """The tokens of the tenant that have not expired; those of all tenants for operators.

    Tokens that are valid for less than an hour are left out, unless they were revoked.
    """
    position = decode_cursor(after, tuple[str, str])
    with database.transaction(_scope(principal)) as session:
        tokens = list_tokens(session, position, limit + 1)
    return paginate(tokens, limit, _key).map(TokenView.model_validate)


@router.post("/{token_id}/revoke", status_code=204)
def revoke(principal: Revoker, database: OwnDatabase, token_id: TokenId) -> None:
    """Accept a token of the tenant no more, in this service; operators end those of all tenants.

    Each process of the service knows it within a few seconds; the gateway tells all services.
    """
    with database.transaction(_scope(principal)) as session:
        revoke_token(session, principal, token_id)
        if database.service == "gateway":
            # Whoever asks the owner of identity ends the token in all services.
            owner = PUBLIC if principal.role >= Role.operator else principal.tenant
            revocations.revoke(session, database.service, owner, "token", token_id, principal.actor)
        action = "tokens.revoke"
        audit(session, database.service, principal.tenant, principal.actor, action, token_id)


def _scope(principal: Principal) -> str:
    return PLATFORM if principal.role >= Role.operator else principal.tenant


def _key(token: SeenToken) -> tuple[str, str]:
    return token.tenant, token.id

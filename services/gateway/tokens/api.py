"""The route of the keys that verify access tokens."""

from typing import Any, Final

from fastapi import APIRouter, Request

from services.gateway.tokens.key_set import public_key_set
from shared.keys import keys_of

KEYS_PATH: Final = "/.well-known/jwks.json"

router = APIRouter(tags=["tokens"])


@router.get(KEYS_PATH)
def get_keys(request: Request) -> dict[str, Any]:
    """The public keys of access tokens, for programs that verify them."""
    return public_key_set(keys_of(request.app.state.settings))

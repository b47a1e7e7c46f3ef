"""The requests to a provider: its description, its keys, and a code for its tokens."""

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from services.gateway.providers.answers import AnswerRefused
from services.gateway.providers.models import StoredProvider
from shared.errors import UpstreamError
from shared.http import GuardedClient, Limits, Response
from shared.http.guard import Allowance

_LIMITS: Final = Limits(connect=5, total=10, redirects=0)
_MAX_BODY: Final = 256 * 1024
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def client_for(allowed: tuple[Allowance, ...]) -> GuardedClient:
    """Return a client for a provider; it follows no redirect."""
    return GuardedClient(allowed, _LIMITS)


async def fetch_description(client: GuardedClient, issuer: str) -> dict[str, Any]:
    """Fetch what a provider says of itself (OpenID Connect Discovery).

    Raises:
        AnswerRefused: it is the description of another issuer, or lacks an address.
        UpstreamError: the provider does not answer.
    """
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    document = _object(await client.request("GET", url, max_body=_MAX_BODY))
    if document.get("issuer") != issuer:
        raise AnswerRefused("issuer-of-description", "The provider says that it is another one.")
    for name in _ENDPOINTS:
        if not _is_address(document.get(name), issuer):
            raise AnswerRefused("description", f"The provider has no usable {name}.")
    return document


async def fetch_keys(client: GuardedClient, description: Mapping[str, Any]) -> object:
    """Fetch the public keys of a provider.

    Raises:
        UpstreamError: it does not answer.
    """
    url = str(description["jwks_uri"])
    return _object(await client.request("GET", url, max_body=_MAX_BODY))


async def fetch_tokens(
    client: GuardedClient,
    description: Mapping[str, Any],
    provider: StoredProvider,
    secret: str | None,
    form: Mapping[str, str],
) -> dict[str, Any]:
    """Exchange a code for tokens.

    Raises:
        AnswerRefused: the provider refuses the code.
        UpstreamError: it does not answer.
    """
    body = dict(form)
    credentials: dict[str, str] = {}
    methods = description.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if secret is None:
        body["client_id"] = provider.client_id
    elif "client_secret_basic" in methods:
        pair = f"{quote(provider.client_id, safe='')}:{quote(secret, safe='')}"
        credentials["Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        body |= {"client_id": provider.client_id, "client_secret": secret}
    response = await client.request(
        "POST",
        str(description["token_endpoint"]),
        headers={
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        },
        content=urlencode(body).encode(),
        auth_headers=credentials,
        max_body=_MAX_BODY,
    )
    if response.status in (400, 401, 403):
        raise AnswerRefused("code", "The provider does not accept the code.")
    return _object(response)


def _object(response: Response) -> dict[str, Any]:
    if response.status != 200:
        raise UpstreamError(f"The identity provider answered with status {response.status}.")
    try:
        document = json.loads(response.content)
    except ValueError as error:
        raise UpstreamError("The identity provider answered without JSON.") from error
    if not isinstance(document, dict):
        raise UpstreamError("The identity provider answered with JSON of another kind.")
    return document


def _is_address(value: object, issuer: str) -> bool:
    if not isinstance(value, str) or len(value) > 2_000:
        return False
    parts = urlsplit(value)
    # A provider over TLS has no address without it.
    return parts.scheme in ("https", urlsplit(issuer).scheme) and bool(parts.hostname)

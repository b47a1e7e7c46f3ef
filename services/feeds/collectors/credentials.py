"""Credentials of feeds: checked on input, sealed at rest, opened for the time of a run."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter

from services.feeds.collectors.base import Credentials
from shared.crypto import Sealer
from shared.http.guard import origin_of
from shared.keys import FEED_CREDENTIALS

PURPOSE: Final = FEED_CREDENTIALS

_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")]
_HeaderName = Annotated[str, Field(max_length=100, pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
_Secret = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
_Pem = Annotated[SecretStr, Field(min_length=50, max_length=65_536)]


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class BasicAuth(_Auth):
    """User and password (RFC 7617)."""

    kind: Literal["basic"]
    username: _Text
    password: _Secret


class BearerAuth(_Auth):
    """A token (RFC 6750)."""

    kind: Literal["bearer"]
    token: _Secret


class HeaderAuth(_Auth):
    """A header of the provider, such as `Auth-Key`."""

    kind: Literal["header"]
    name: _HeaderName
    value: _Secret


class QueryAuth(_Auth):
    """A parameter of the address."""

    kind: Literal["query"]
    name: _Text
    value: _Secret


class CertificateAuth(_Auth):
    """A client certificate: the chain and its unencrypted key, as PEM."""

    kind: Literal["certificate"]
    chain: _Pem
    key: _Pem


Auth = Annotated[
    BasicAuth | BearerAuth | HeaderAuth | QueryAuth | CertificateAuth, Field(discriminator="kind")
]
ADAPTER: Final[TypeAdapter[Auth]] = TypeAdapter(Auth, config=ConfigDict(hide_input_in_errors=True))
"""Validates credentials; its errors do not show the input."""


def seal(auth: Auth, sealer: Sealer, place: str, url: str | None) -> tuple[dict[str, Any], bytes]:
    """The fields of credentials that may be shown, and the others sealed.

    Args:
        auth: the credentials.
        sealer: a sealer for `PURPOSE`.
        place: the feed's id.
        url: the feed's address, whose origin alone they are for.
    """
    fields = dict(auth)
    public = {name: value for name, value in fields.items() if not isinstance(value, SecretStr)}
    secret = {
        name: value.get_secret_value()
        for name, value in fields.items()
        if isinstance(value, SecretStr)
    }
    return public, sealer.seal_at(json.dumps(secret), place, origin_of(url))


def unseal(
    public: Mapping[str, Any], secret: bytes, sealer: Sealer, place: str, url: str | None
) -> Auth:
    """The credentials from the two parts that `seal` returned.

    Raises:
        UnsealError: the parts were sealed under another key, or for another origin.
    """
    opened = sealer.open_at(secret, place, origin_of(url))
    return ADAPTER.validate_python({**public, **json.loads(opened)})


@asynccontextmanager
async def open_credentials(
    auth: Auth | None, folder: Path
) -> AsyncIterator[tuple[Credentials, tuple[Path, Path] | None]]:
    """Credentials for requests, and the files (chain, key) of a client certificate if it is one.

    Args:
        auth: the feed's credentials, if it has some.
        folder: for the files, which are removed at the end.
    """
    if not isinstance(auth, CertificateAuth):
        yield _credentials(auth), None
        return
    pair = (folder / f"{token_hex(8)}.pem", folder / f"{token_hex(8)}.key")
    try:
        for path, text in zip(pair, (auth.chain, auth.key), strict=True):
            path.touch(mode=0o600)
            path.write_text(text.get_secret_value())
        yield Credentials(), pair
    finally:
        for path in pair:
            path.unlink(missing_ok=True)


def _credentials(auth: Auth | None) -> Credentials:
    match auth:
        case BasicAuth():
            pair = f"{auth.username}:{auth.password.get_secret_value()}"
            return Credentials({"Authorization": f"Basic {b64encode(pair.encode()).decode()}"})
        case BearerAuth():
            return Credentials({"Authorization": f"Bearer {auth.token.get_secret_value()}"})
        case HeaderAuth():
            return Credentials({auth.name: auth.value.get_secret_value()})
        case QueryAuth():
            return Credentials(query={auth.name: auth.value.get_secret_value()})
    return Credentials()

"""What a feed is authorised by: checked when it is given, sealed at rest, opened for the time of a run."""

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

PURPOSE: Final = "feeds.auth"

_Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[\x20-\x7e]+$")]
_HeaderName = Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
_Secret = Annotated[SecretStr, Field(min_length=1, max_length=4096)]
_Pem = Annotated[SecretStr, Field(min_length=50, max_length=65_536)]


class _Auth(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Basic(_Auth):
    """User and password (RFC 7617)."""

    kind: Literal["basic"]
    username: _Text
    password: _Secret


class Bearer(_Auth):
    """A token (RFC 6750)."""

    kind: Literal["bearer"]
    token: _Secret


class Header(_Auth):
    """A header of the provider's own, such as `Auth-Key`."""

    kind: Literal["header"]
    name: _HeaderName
    value: _Secret


class Query(_Auth):
    """A parameter of the address."""

    kind: Literal["query"]
    name: _Text
    value: _Secret


class Certificate(_Auth):
    """A client certificate: the chain and its unencrypted key, as PEM."""

    kind: Literal["certificate"]
    chain: _Pem
    key: _Pem


Auth = Annotated[Basic | Bearer | Header | Query | Certificate, Field(discriminator="kind")]
ADAPTER: Final[TypeAdapter[Auth]] = TypeAdapter(Auth, config=ConfigDict(hide_input_in_errors=True))
"""Checks credentials; what is wrong is told without what was given."""


def seal(auth: Auth, sealer: Sealer, place: str) -> tuple[dict[str, Any], bytes]:
    """What may be read again, and everything else unreadable.

    Args:
        auth: as it was given.
        sealer: for `PURPOSE`.
        place: the feed's id.
    """
    fields = dict(auth)
    public = {name: value for name, value in fields.items() if not isinstance(value, SecretStr)}
    secret = {
        name: value.get_secret_value()
        for name, value in fields.items()
        if isinstance(value, SecretStr)
    }
    return public, sealer.seal(json.dumps(secret), place)


def unseal(public: Mapping[str, Any], secret: bytes, sealer: Sealer, place: str) -> Auth:
    """The credentials as they were given.

    Raises:
        UnsealError: they were sealed under another key.
    """
    return ADAPTER.validate_python({**public, **json.loads(sealer.open(secret, place))})


@asynccontextmanager
async def open_credentials(
    auth: Auth | None, folder: Path
) -> AsyncIterator[tuple[Credentials, tuple[Path, Path] | None]]:
    """Credentials as a request takes them, and the files of a client certificate, which are gone afterwards.

    Args:
        auth: none, or one of the kinds.
        folder: where the files may be for so long.
    """
    if not isinstance(auth, Certificate):
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
        case Basic():
            pair = f"{auth.username}:{auth.password.get_secret_value()}"
            return Credentials({"Authorization": f"Basic {b64encode(pair.encode()).decode()}"})
        case Bearer():
            return Credentials({"Authorization": f"Bearer {auth.token.get_secret_value()}"})
        case Header():
            return Credentials({auth.name: auth.value.get_secret_value()})
        case Query():
            return Credentials(query={auth.name: auth.value.get_secret_value()})
    return Credentials()

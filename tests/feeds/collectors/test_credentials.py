"""What a feed is authorised by: sealed at rest, used where it belongs, shown nowhere."""

import asyncio
import stat
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from services.feeds.collectors.base import Credentials
from services.feeds.collectors.credentials import (
    ADAPTER,
    PURPOSE,
    CertificateAuth,
    open_credentials,
    seal,
    unseal,
)
from services.feeds.collectors.http import url_with_credentials
from shared.crypto import Sealer, UnsealError
from shared.keys import DerivedKeys

MARK = "very-secret"
KINDS = [
    {"kind": "basic", "username": "kim", "password": MARK},
    {"kind": "bearer", "token": MARK},
    {"kind": "header", "name": "Auth-Key", "value": MARK},
    {"kind": "query", "name": "apikey", "value": MARK},
    {
        "kind": "certificate",
        "chain": f"-----BEGIN CERTIFICATE-----{MARK * 9}",
        "key": f"-----BEGIN KEY-----{MARK * 9}",
    },
]
SEALER = Sealer(
    DerivedKeys(SecretStr("a-secret-key-for-tests-of-more-than-32-characters")), PURPOSE
)


def credentials_of(auth: Any, folder: Path) -> tuple[Credentials, Any]:
    async def opened() -> tuple[Credentials, Any]:
        async with open_credentials(auth, folder) as credentials:
            return credentials

    return asyncio.run(opened())


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields["kind"])
def test_what_is_sealed_comes_back_and_shows_nothing(fields: dict[str, str]) -> None:
    auth = ADAPTER.validate_python(fields)
    url = "https://paid.example/list"
    public, secret = seal(auth, SEALER, "feed-1", url)
    assert unseal(public, secret, SEALER, "feed-1", url) == auth
    assert unseal(public, secret, SEALER, "feed-1", "https://paid.example:443/other") == auth
    assert MARK not in repr((auth, public, secret))
    with pytest.raises(UnsealError):
        unseal(public, secret, SEALER, "feed-2", url)
    for other in ("https://other.example/list", "http://paid.example/list", None):
        with pytest.raises(UnsealError):
            unseal(public, secret, SEALER, "feed-1", other)


@pytest.mark.parametrize("fields", KINDS, ids=lambda fields: fields["kind"])
def test_a_mistake_does_not_repeat_the_secret(fields: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as problem:
        ADAPTER.validate_python({**fields, "surprise": MARK})
    assert MARK not in str(problem.value)


def test_each_kind_is_used_where_it_belongs(tmp_path: Path) -> None:
    credentials = [
        credentials_of(ADAPTER.validate_python(fields), tmp_path)[0] for fields in KINDS[:4]
    ]
    kind, _, pair = credentials[0].headers["Authorization"].partition(" ")
    assert (kind, b64decode(pair)) == ("Basic", f"kim:{MARK}".encode())
    assert credentials[1].headers == {"Authorization": f"Bearer {MARK}"}
    assert credentials[2].headers == {"Auth-Key": MARK}
    assert (
        url_with_credentials("https://example.com/list?a=1#x", credentials[3])
        == f"https://example.com/list?a=1&apikey={MARK}#x"
    )
    assert MARK not in repr(credentials)


def test_a_certificate_is_in_private_files_for_the_time_of_the_run(tmp_path: Path) -> None:
    auth = ADAPTER.validate_python(KINDS[4])
    assert isinstance(auth, CertificateAuth)

    async def look() -> list[Path]:
        async with open_credentials(auth, tmp_path) as (_, pair):
            assert pair is not None
            assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in pair)
            assert pair[1].read_text() == KINDS[4]["key"]
            return list(pair)

    assert not any(path.exists() for path in asyncio.run(look()))

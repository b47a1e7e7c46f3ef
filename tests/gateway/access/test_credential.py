"""What a request shows of who makes it."""

import pytest

from services.gateway.access.credential import read_credential
from services.gateway.sessions.cookies import COOKIE
from shared.errors import Forbidden, SentinelIQError, Unauthenticated

Headers = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    ("headers", "kind", "secret"),
    [
        ([(b"authorization", b"Bearer siqs_1")], "command-line", "siqs_1"),
        ([(b"authorization", b"bearer siq_1")], "key", "siq_1"),
        ([(b"authorization", b"Bearer e30.e30.x")], "token", "e30.e30.x"),
        ([(b"cookie", f"{COOKIE}=siqb_1".encode())], "browser", "siqb_1"),
        ([(b"cookie", b"a=b"), (b"cookie", f"{COOKIE}=siqb_1".encode())], "browser", "siqb_1"),
        (
            [(b"cookie", f"{COOKIE}=siqb_1".encode()), (b"authorization", b"Bearer siq_1")],
            "key",
            "siq_1",
        ),
    ],
)
def test_the_kind_is_told_by_the_secret(headers: Headers, kind: str, secret: str) -> None:
    credential = read_credential(headers)
    assert (credential.kind, credential.secret) == (kind, secret)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Basic a2ltOng=")],
        [(b"authorization", b"Bearer siq_1"), (b"authorization", b"Bearer siq_2")],
        [(b"cookie", f"{COOKIE}=siqs_1".encode())],
        [(b"cookie", f"{COOKIE}=siq_1".encode())],
        [(b"cookie", b"other=siqb_1")],
        [(b"x-forwarded-user", b"root"), (b"x-remote-user", b"root")],
        [(b"authorization", b"Bearer siq_1"), (b"origin", b"a"), (b"origin", b"b")],
        [
            (b"authorization", b"Bearer siq_1"),
            (b"sentineliq-tenant", b"a"),
            (b"sentineliq-tenant", b"b"),
        ],
    ],
)
def test_what_shows_nothing_is_refused(headers: Headers) -> None:
    with pytest.raises(Unauthenticated):
        read_credential(headers)


def test_two_sessions_at_a_time_are_refused() -> None:
    cookies = f"{COOKIE}=siqb_1; {COOKIE}=siqb_2".encode()
    with pytest.raises(SentinelIQError) as refusal:
        read_credential([(b"cookie", cookies)])
    assert isinstance(refusal.value, Forbidden)

"""What a browser has to show: one cookie, an origin of ours, and the CSRF token."""

import pytest

from services.gateway.sessions.cookies import (
    COOKIE,
    check_browser,
    check_origin,
    csrf_token,
    read_cookie,
)
from shared.errors import Forbidden

HOST = "sentineliq.example"
BASE = "https://sentineliq.example"
SECRET = "siqb_secret"


@pytest.mark.parametrize(
    ("header", "secret"),
    [
        ("", None),
        (f"{COOKIE}=siqb_1", "siqb_1"),
        (f"theme=dark; {COOKIE}=siqb_1; a=b", "siqb_1"),
        (f"x{COOKIE}=siqb_1", None),
        (f"{COOKIE}", ""),
        (f"{COOKIE}=siqb_1" + "; a=b" * 2000, None),
    ],
)
def test_the_cookie_is_found(header: str, secret: str | None) -> None:
    assert read_cookie(header) == secret


def test_two_cookies_are_refused() -> None:
    with pytest.raises(Forbidden, match="several"):
        read_cookie(f"{COOKIE}=siqb_1; {COOKIE}=siqb_2")


@pytest.mark.parametrize("origin", [BASE, "HTTPS://SENTINELIQ.example", f"http://{HOST}"])
def test_pages_of_this_address_may_change(origin: str) -> None:
    check_origin(origin, HOST, BASE)


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "",
        "https://evil.example",
        "https://sentineliq.example.evil.example",
        "https://evil.example/sentineliq.example",
        "https://sentineliq.example:8443",
        "https://",
        "file://sentineliq.example",
    ],
)
def test_pages_of_others_may_not(origin: str | None) -> None:
    with pytest.raises(Forbidden):
        check_origin(origin, HOST, BASE)


def test_an_empty_host_is_nobodys_origin() -> None:
    with pytest.raises(Forbidden):
        check_origin("https://", "", BASE)


@pytest.mark.parametrize("token", [None, "", "x", csrf_token("siqb_other"), "ü"])
def test_a_change_needs_the_sessions_token(token: str | None) -> None:
    with pytest.raises(Forbidden, match="CSRF"):
        check_browser("POST", SECRET, token, BASE, HOST, BASE)


def test_reading_needs_no_token() -> None:
    check_browser("GET", SECRET, None, None, HOST, BASE)


def test_the_right_token_passes() -> None:
    check_browser("DELETE", SECRET, csrf_token(SECRET), BASE, HOST, BASE)

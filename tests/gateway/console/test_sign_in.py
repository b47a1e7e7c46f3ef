"""Signing in, and which requests may change something."""

from collections.abc import Callable

import httpx2
import pytest

from services.gateway.console.screens.registry import OPEN_SCREENS, SCREENS
from services.gateway.console.screens.sign_in import own_address
from tests.gateway.conftest import PASSWORD
from tests.gateway.conftest import Browser as ApiBrowser
from tests.gateway.console.conftest import Browser

SignIn = Callable[..., Browser]
ACTS = [screen.path for screen in SCREENS if screen.method == "POST"]
PAGES = [screen.path for screen in SCREENS if screen.method == "GET" and screen not in OPEN_SCREENS]


def filled(path: str) -> str:
    """A path with something in the place of its parts."""
    return path.replace("{", "").replace("}", "")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leads_strangers_to_the_sign_in(visitor: Callable[[], Browser], path: str) -> None:
    answer = visitor().get(filled(path))
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in?next=")


@pytest.mark.parametrize("path", ACTS)
def test_an_act_without_the_forms_secret_is_refused(sign_in: SignIn, path: str) -> None:
    browser = sign_in(role="operator")
    headers = {"Origin": browser.origin}
    for data in ({"other": "x"}, {"form_secret": "guessed"}, {"form_secret": ""}):
        answer = browser.http.post(f"/console{filled(path)}", data=data, headers=headers)
        assert answer.status_code == 403


@pytest.mark.parametrize("path", ACTS)
def test_an_act_from_another_origin_is_refused(sign_in: SignIn, path: str) -> None:
    browser = sign_in(role="operator")
    data = {"form_secret": browser.form_secret()}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {},
        {"Origin": browser.origin, "Sec-Fetch-Site": "cross-site"},
        {"Referer": "https://evil.example/console/"},
        {"Origin": "http://[broken"},
    ):
        answer = browser.http.post(f"/console{filled(path)}", data=data, headers=headers)
        assert answer.status_code == 403, headers


def test_the_secret_of_another_browser_is_refused(sign_in: SignIn) -> None:
    secret = sign_in().form_secret()
    browser = sign_in()
    headers = {"Origin": browser.origin}
    answer = browser.http.post("/console/sign-out", data={"form_secret": secret}, headers=headers)
    assert answer.status_code == 403


def test_a_token_signs_in_and_no_script_reads_its_cookie(
    visitor: Callable[[], Browser], make_token: Callable[..., str]
) -> None:
    browser = visitor()
    token = make_token()
    answer = browser.post("/sign-in", token=token, next="/search?q=evil.com")
    assert answer.headers["location"] == "/console/search?q=evil.com"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert token not in cookie
    assert browser.get("/search").status_code == 200


def test_another_host_than_this_machine_gets_a_cookie_for_tls_alone(site: str) -> None:
    with httpx2.Client(base_url=site) as client:
        answer = client.get("/console/sign-in", headers={"Host": "ti.example.org"})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-sentineliq-console=")
    assert "Secure" in cookie


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "Bearer ", "é" * 9_000, "\0"])
def test_what_is_no_token_is_refused_with_a_reason(
    visitor: Callable[[], Browser], token: str
) -> None:
    answer = visitor().post("/sign-in", token=token)
    assert answer.status_code in {401, 422}
    assert "That did not work." in answer.text


def test_signing_out_takes_the_token_from_the_browser(sign_in: SignIn) -> None:
    browser = sign_in()
    assert browser.post("/sign-out").status_code == 303
    assert browser.get("/search").status_code == 303


def test_a_changed_cookie_is_no_session(sign_in: SignIn) -> None:
    browser = sign_in()
    name = next(iter(browser.http.cookies))
    value = browser.http.cookies[name]
    browser.http.cookies.set(name, value[:-8] + "AAAAAAA=", domain="127.0.0.1")
    answer = browser.get("/search")
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "wish",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "/a\r\nX: y", ""],
)
def test_signing_in_leads_to_no_other_site(wish: str) -> None:
    assert own_address(wish) == "/console/"


def test_an_invitation_makes_an_account_that_signs_in_by_password(
    visitor: Callable[[], Browser], operator: Callable[[str], ApiBrowser]
) -> None:
    created = operator("acme").post("/v1/invitations", {"role": "analyst"}).json()
    secret = created["link"].partition("#")[2]
    browser = visitor()
    shown = browser.post("/welcome", secret=secret)
    assert "acme" in shown.text
    assert secret in shown.text, "the form keeps it"
    fields = {"secret": secret, "login": "robin@acme.example", "name": "Robin"}
    short = browser.post("/welcome", password="short", **fields)
    assert short.status_code == 422
    assert 'value="robin@acme.example"' in short.text
    assert browser.post("/welcome", password=PASSWORD, **fields).status_code == 303
    page = browser.get("/search")
    assert page.status_code == 200
    assert "robin@acme.example" in page.text
    again = browser.post("/welcome", secret=secret)
    assert again.status_code == 303 or "That did not work." in again.text

    other = visitor()
    wrong = other.post("/sign-in", login="robin@acme.example", password="no such words here")
    assert wrong.status_code == 401
    assert 'value="robin@acme.example"' in wrong.text
    assert "no such words here" not in wrong.text
    right = other.post("/sign-in", login="robin@acme.example", password=PASSWORD, next="/feeds")
    assert right.headers["location"] == "/console/feeds"
    assert other.get("/feeds").status_code == 200
    other.post("/sign-out")
    assert other.get("/feeds").status_code == 303


def test_who_has_no_account_gets_the_same_answer(visitor: Callable[[], Browser]) -> None:
    answer = visitor().post("/sign-in", login="nobody@acme.example", password=PASSWORD)
    assert answer.status_code == 401
    assert "That did not work." in answer.text


def test_the_console_stands_behind_the_edge(gateway: str, make_token: Callable[..., str]) -> None:
    with httpx2.Client(base_url=gateway, timeout=60) as http:
        assert http.get("/").headers["location"] == "/console/"
        assert http.get("/welcome").headers["location"] == "/console/welcome"
        browser = Browser(http, gateway)
        answer = browser.post("/sign-in", token=make_token(role="viewer"))
        assert answer.status_code == 303
        page = browser.get("/preferences")
        assert "Sign out" in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        foreign = http.post(
            "/console/sign-out", data={}, headers={"Origin": "https://evil.example"}
        )
        assert foreign.status_code == 403
        assert http.get("/v1/audit").status_code == 401, "the console's cookie opens no API"

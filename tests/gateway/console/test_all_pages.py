"""Every page for every role: it answers, keeps to the policy, and outlives an API that is away."""

import re
from collections.abc import Callable, Iterator

import httpx2
import pytest

from services.gateway.console.app import Console
from services.gateway.console.assets import asset_path, assets
from services.gateway.console.screens.registry import SCREENS
from shared.auth import RoleName
from shared.database import Database
from shared.settings import Settings
from tests.gateway.console.conftest import Browser, Servers

SignIn = Callable[..., Browser]
FIXED = [screen.path for screen in SCREENS if screen.method == "GET" and "{" not in screen.path]
NO_SUCH = "00000000-0000-4000-8000-000000000000"
WITH_PARTS = [screen.path for screen in SCREENS if screen.method == "GET" and "{" in screen.path]
_INLINE = re.compile(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=|javascript:", re.IGNORECASE)
MAX_PACKED = 60 * 1024


@pytest.mark.parametrize("role", ["viewer", "analyst", "admin", "operator"])
def test_every_page_answers(sign_in: SignIn, role: RoleName) -> None:
    browser = sign_in(role=role)
    for path in FIXED:
        answer = browser.get(path)
        is_admin_page = path.startswith("/administration") and role in {"viewer", "analyst"}
        is_form = path.endswith("/new") and role in {"viewer", "analyst"}
        refused = {403} if is_admin_page or is_form else set()
        assert answer.status_code in {200, 303} | refused, (path, answer.text)
        if answer.status_code == 200:
            assert "gives no answer" not in answer.text, path
            assert not _INLINE.search(answer.text), path


def test_what_does_not_exist_says_so(sign_in: SignIn) -> None:
    browser = sign_in(role="operator")
    for path in WITH_PARTS:
        address = re.sub(r"\{\w+\}", NO_SUCH, path)
        answer = browser.get(address)
        assert answer.status_code in {200, 404, 422}, (path, answer.status_code)


@pytest.mark.parametrize("hostile", ["%00", "..%2f..%2fetc", "%22%3E%3Cscript%3E", "a" * 3000])
def test_a_hostile_path_reaches_no_other_route(sign_in: SignIn, hostile: str) -> None:
    browser = sign_in(role="operator")
    for path in WITH_PARTS:
        answer = browser.get(re.sub(r"\{\w+\}", hostile, path))
        assert answer.status_code in {200, 303, 400, 404, 422, 503}, path
        assert "<script>" not in answer.text.replace("<script src", "")


def test_every_answer_carries_the_policy(sign_in: SignIn) -> None:
    browser = sign_in()
    for path in ("/", "/search", "/no-such-page", "/feeds/catalog"):
        headers = browser.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])


def test_scripts_and_styles_are_small_and_kept_by_browsers(sign_in: SignIn) -> None:
    page = sign_in().get("/").text
    names = set(re.findall(r'(?:src|href)="/console/assets/\w+/([\w.-]+)[#"]', page))
    assert names == {"console.css", "htmx.js", "islands.js", "icons.svg", "mark.svg"}
    assert sum(len(assets()[name].packed) for name in names) <= MAX_PACKED
    browser = sign_in()
    answer = browser.get(asset_path("console.css"))
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert browser.get("/assets/000000000000/console.css").headers["cache-control"] == "no-store"
    assert browser.get("/assets/x/../console.py").status_code == 404


@pytest.fixture
def lonely_site(environment: Settings, servers: Servers) -> Iterator[str]:
    """A console whose services are all away."""
    urls = {f"{name}_url": "http://127.0.0.1:9" for name in ("feeds", "mitre", "observables")}
    urls |= {f"{name}_url": "http://127.0.0.1:9" for name in ("notifications", "scheduler")}
    own = Database(environment.database_url.get_secret_value(), "gateway")
    console = Console(environment.model_copy(update=urls), own)
    yield servers.serve(console)
    servers.close(console)
    own.close()


def test_services_that_are_away_take_their_panels_alone(
    lonely_site: str, make_token: Callable[..., str]
) -> None:
    with httpx2.Client(base_url=lonely_site, timeout=60) as http:
        browser = Browser(http, lonely_site)
        browser.post("/sign-in", token=make_token(role="operator"))
        page = browser.get("/")
        assert page.status_code == 200
        assert page.text.count("gives no answer") >= 5
        assert "The service Feeds gives no answer." in page.text
        for path in FIXED:
            assert browser.get(path).status_code in {200, 303, 503}, path

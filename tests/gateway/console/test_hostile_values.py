"""Hostile values, tags, notes, names and texts stay text on every page that shows them."""

import re
from collections.abc import Callable, Iterator
from html import unescape
from html.parser import HTMLParser
from itertools import islice, product

import pytest

from shared.database import database
from shared.events.feeds import Indicator
from shared.settings import Settings
from tests.gateway.console.conftest import Browser
from tests.observables.conftest import chunk, handle

SignIn = Callable[..., Browser]
OPENINGS = ["", '"', "'", '">', "'>", "</td>", "</textarea>", "</script>", "-->", "]]>", "{{", "{%"]
CORES = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    " onmouseover=alert(1) x=",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<form action=https://evil.example><button>",
    "<base href=https://evil.example>",
    "<style>*{background:url(//evil.example)}</style>",
    "<link rel=stylesheet href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "javascript:alert(1)",
    "{{ 7*7 }}",
    "{% include '/etc/passwd' %}",
    "${7*7}",
    "<script\u2028>alert(1)</script>",
    "\u202e<script>alert(1)</script>",
    "<ScRiPt\t>alert(1)</ScRiPt\n>",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<local-time><img src=x onerror=alert(1)></local-time>",
    "<div hx-get=//evil.example hx-trigger=load>",
]
ENDINGS = ["", "<!--", '"', "}}"]
_ALLOWED = {"script", "link", "meta", "base", "iframe", "object", "embed", "style"}


def hostile_values() -> Iterator[str]:
    for number, parts in enumerate(product(CORES, OPENINGS, ENDINGS)):
        core, opening, ending = parts
        yield f"{number}{opening}{core}{ending}"


class Markup(HTMLParser):
    """What a browser would build of a page that may act."""

    def __init__(self) -> None:
        super().__init__()
        self.acting: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag in _ALLOWED and not self._is_ours(tag, attributes):
            self.acting.append(f"<{tag}>")
        for name, value in attributes.items():
            is_act = name.startswith("on") or name in {"srcdoc", "style"}
            is_place = name in {"href", "src", "action", "formaction", "hx-get", "hx-post"}
            is_foreign = is_place and not re.match(r"/console|/flower|#", value)
            if is_act or is_foreign:
                self.acting.append(f"{tag} {name}={value}")

    @staticmethod
    def _is_ours(tag: str, attributes: dict[str, str]) -> bool:
        if tag == "script":
            return attributes.get("src", "").startswith("/console/assets/")
        if tag == "link":
            return attributes.get("href", "").startswith("/console/assets/")
        return tag == "meta" and "http-equiv" not in attributes


def acting(page: str) -> list[str]:
    markup = Markup()
    markup.feed(page)
    return markup.acting


def test_the_check_notices_what_acts() -> None:
    for core in CORES[:11]:
        if core.startswith("<"):
            assert acting(core), core


@pytest.fixture(scope="module")
def stored(environment: Settings) -> list[str]:
    """Five hundred observables whose values, tags and malware are hostile."""
    values = list(islice(hostile_values(), 500))
    items = [
        Indicator("mutex", value, tags=(value[:100],), malware=value[:100]) for value in values
    ]
    handle(database("observables"), chunk(*items))
    return values


def test_five_hundred_values_stay_text(sign_in: SignIn, stored: list[str]) -> None:
    browser = sign_in()
    page = browser.get("/observables", params={"type": "mutex"}).text
    assert page.count("<tr>") > 100
    seen = 0
    while True:
        assert acting(page) == []
        seen += len(re.findall(r'<tr><th(?: data-label="[^"]*")? scope="row"', page))
        match = re.search(r'rel="next" href="/console([^"]+)"', page)
        if match is None:
            break
        page = browser.get(match[1].replace("&amp;", "&")).text
    assert seen == len(stored)


def test_the_search_shows_what_was_typed_as_text(sign_in: SignIn, stored: list[str]) -> None:
    browser = sign_in()
    for value in stored[::25]:
        assert acting(browser.get("/search", params={"q": value}).text) == [], value
    assert acting(browser.post("/search", q="\n".join(stored)).text) == []
    assert acting(browser.post("/search", q="The report says: " + " and ".join(stored)).text) == []


@pytest.mark.usefixtures("stored")
def test_the_page_of_a_hostile_value_keeps_it_text(sign_in: SignIn) -> None:
    browser = sign_in()
    page = browser.get("/observables", params={"type": "mutex"}).text
    paths = re.findall(r'href="/console(/observables/mutex--[^"]+)"', page)
    assert len(paths) == 100
    for path in paths[::20]:
        page = browser.get(path).text
        assert acting(page) == []
        value = re.search(r'name="value" value="([^"]*)"', page)
        assert value is not None
        note = {"kind": "seen", "note": unescape(value[1]), "type": "mutex"}
        answer = browser.post(f"{path}/sightings", value=unescape(value[1]), **note)
        assert answer.status_code in {303, 422}, answer.text
        assert acting(answer.text) == []
        assert acting(browser.get(path).text) == []


@pytest.mark.usefixtures("settings")
def test_hostile_names_stay_text(sign_in: SignIn) -> None:
    browser = sign_in()
    for value in islice(hostile_values(), 0, 500, 40):
        name = value[:60]
        for path, fields in (
            ("/feeds/new", {"name": name, "url": "https://lists.example.org/x", "act": "save"}),
            ("/feeds/new", {"name": "x", "url": value, "format": value, "act": "preview"}),
            ("/notifications/channels", {"name": name, "kind": "log"}),
            ("/notifications/rules/new", {"name": name, "filter": value, "act": "try"}),
            ("/lists/new", {"name": name, "filter": value, "description": value}),
            ("/schedules/new", {"name": name, "cron": value, "timezone": value}),
            ("/search/act", {"act": value, "value": value}),
            ("/sign-in", {"login": value, "password": value, "next": value}),
        ):
            assert acting(browser.post(path, **fields).text) == [], (path, value)
    for path in ("/feeds", "/notifications/channels", "/administration", "/", "/schedules"):
        assert acting(browser.get(path).text) == [], path


def test_hostile_addresses_stay_text(sign_in: SignIn) -> None:
    browser = sign_in()
    for value in islice(hostile_values(), 0, 500, 50):
        for path in ("/feeds", "/feeds/catalog", "/observables", "/administration", "/attack"):
            for name in ("q", "sort", "health", "after", "type", "tag", "domain", "done", "under"):
                page = browser.get(path, params={name: value})
                assert page.status_code < 500
                assert acting(page.text) == [], (path, name, value)

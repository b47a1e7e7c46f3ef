"""Every word of a page comes from a catalog, and every catalog has every word."""

import gettext
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from services.gateway.console import app, languages, pages
from services.gateway.console.languages import choose_language
from services.gateway.console.screens.registry import SCREENS
from shared.database import database
from shared.settings import Settings
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import indicators, observable_path
from tests.observables.conftest import chunk, handle

ROOM = Path(languages.__file__).parent
SignIn = Callable[..., Browser]
PAGES = [screen.path for screen in SCREENS if screen.method == "GET" and "{" not in screen.path]
_VOID = {"meta", "link", "input", "br", "hr", "img"}
_SPOKEN = ("aria-label", "placeholder", "alt", "data-label", "data-done")


class PseudoLocale(gettext.NullTranslations):
    """Marks every text that comes from the catalog."""

    def gettext(self, message: str) -> str:
        return f"\u27e6{message}\u27e7"

    def ngettext(self, singular: str, plural: str, count: int) -> str:
        return f"\u27e6{singular if count == 1 else plural}\u27e7"


class BareWords(HTMLParser):
    """Collects words that are neither from the catalog nor marked as data."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        is_data = attributes.get("translate") == "no" or tag in {"script", "style"}
        is_data = is_data or bool(self._open and self._open[-1][1])
        if tag not in _VOID:
            self._open.append((tag, is_data))
        for name in _SPOKEN:
            self._check(attributes.get(name) or "", is_data=is_data)

    def handle_endtag(self, tag: str) -> None:
        while self._open:
            if self._open.pop()[0] == tag:
                return

    def handle_data(self, data: str) -> None:
        self._check(data, is_data=bool(self._open and self._open[-1][1]))

    def _check(self, text: str, *, is_data: bool) -> None:
        rest = re.sub("\u27e6.*?\u27e7", "", text, flags=re.DOTALL).replace("SentinelIQ", "")
        if not is_data and re.search(r"[^\W\d_]{2,}", rest):
            self.words.append(rest.strip())


def bare_words(page: str) -> list[str]:
    parser = BareWords()
    parser.feed(page)
    return parser.words


def messages() -> set[str | tuple[str, ...]]:
    """All texts of the templates and the code that are to be translated."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    options = {"templates/**.html": {"trimmed": "true", "newstyle_gettext": "true"}}
    options["templates/**.html"]["extensions"] = "jinja2.ext.do"
    keywords = {"_": None, "gettext": None, "ngettext": (1, 2)}
    rows = extract_from_dir(ROOM, methods, options, keywords)
    return {row[2] if isinstance(row[2], str) else tuple(row[2]) for row in rows}


@pytest.mark.parametrize("language", [tag for tag in languages.LANGUAGES if tag != "en"])
def test_a_catalog_has_every_text_and_no_other(language: str) -> None:
    with (ROOM / "locale" / f"{language}.po").open("rb") as file:
        catalog = read_po(file)
    translated = {message.id for message in catalog if message.id and message.string}
    assert messages() - translated == set()
    assert translated - messages() == set()


@pytest.mark.parametrize("language", [tag for tag in languages.LANGUAGES if tag != "en"])
def test_a_translation_keeps_the_places_of_values(language: str) -> None:
    with (ROOM / "locale" / f"{language}.po").open("rb") as file:
        catalog = read_po(file)
    for message in catalog:
        texts = message.string if isinstance(message.string, tuple | list) else [message.string]
        identity = message.id if isinstance(message.id, str) else message.id[-1]
        places = set(re.findall(r"%\(\w+\)s", identity))
        assert all(set(re.findall(r"%\(\w+\)s", text)) == places for text in texts), identity


@pytest.fixture
def pseudo(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = pages.make_environment("en", PseudoLocale())
    monkeypatch.setattr(app, "environment_of", lambda _language: environment)


@pytest.mark.usefixtures("pseudo")
@pytest.mark.parametrize("path", PAGES)
def test_no_word_of_a_page_is_untranslated(sign_in: SignIn, path: str) -> None:
    answer = sign_in(role="operator").get(path)
    assert answer.status_code in {200, 303}
    assert bare_words(answer.text) == []


@pytest.mark.usefixtures("pseudo")
def test_no_word_of_an_observable_is_untranslated(sign_in: SignIn, environment: Settings) -> None:
    handle(database("observables"), chunk(*indicators("evil.com", "198.51.100.7")))
    browser = sign_in(role="operator")
    assert bare_words(browser.get(observable_path(browser, "evil.com")).text) == []
    assert bare_words(browser.get("/search", params={"q": "unknown.com"}).text) == []
    assert bare_words(browser.post("/search", q="evil.com\nbad.com\n???").text) == []


def test_pages_come_in_the_language_of_the_reader(sign_in: SignIn) -> None:
    browser = sign_in()
    answer = browser.get("/feeds", headers={"Accept-Language": "pt-BR,pt;q=0.9,en;q=0.8"})
    assert '<html lang="pt-BR"' in answer.text
    assert "Você ainda não tem feed." in answer.text
    browser.post("/preferences", language="pt-BR", theme="dark", density="dense", next="/feeds")
    next_page = browser.get("/feeds", headers={"Accept-Language": "en"}).text
    assert '<html lang="pt-BR" data-theme="dark" data-density="dense"' in next_page


@pytest.mark.parametrize(
    ("preference", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "pt", "pt-BR"),
        ("", "pt-PT,de", "pt-BR"),
        ("", "de-DE,de", "en"),
        ("", "en-GB,pt-BR;q=0.5", "en"),
        ("pt-BR", "en", "pt-BR"),
        ("xx<script>", "%%%;;;,,,", "en"),
    ],
)
def test_a_language_is_chosen(preference: str, accepted: str, language: str) -> None:
    assert choose_language(preference, accepted) == language

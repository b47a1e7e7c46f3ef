"""No page violates WCAG 2.2 AA, loses a word or moves, in any colours, language or width."""

import json
from itertools import product

import pytest
from playwright.sync_api import Page

from services.gateway.console.languages import LANGUAGES
from services.gateway.console.preferences import THEMES
from services.gateway.console.screens.registry import SCREENS
from tests.effects.world import World
from tests.gateway.console.chromium import in_chromium, lost_words, violations
from tests.gateway.console.furnished import ADDRESSES, UNFURNISHED, furnish
from tests.gateway.console.test_languages import bare_words, pseudo

__all__ = ["pseudo"]
pytestmark = in_chromium
HEIGHT = 900
NARROW = 400
HALVED = 640
"""1280 pixels at 200 % zoom."""
WIDTHS = (1280, NARROW)
EACH = [*product([theme for theme in THEMES if theme != "system"], LANGUAGES, WIDTHS)]
SOME = [("dark", "pt-BR", NARROW)]
REST = [pytest.param(*each, marks=pytest.mark.slow) for each in EACH if each not in SOME]


def choose(page: Page, theme: str, language: str) -> None:
    page.goto("/console/preferences")
    page.select_option("#field-theme", theme)
    page.select_option("#field-language", language)
    page.locator("form:has(#field-theme) button").click()
    page.wait_for_load_state()


def test_every_page_has_an_address_here() -> None:
    paths = {screen.path for screen in SCREENS if screen.method == "GET" and "{" in screen.path}
    assert paths - UNFURNISHED == set(ADDRESSES)


@pytest.mark.parametrize(("theme", "language", "width"), [*SOME, *REST])
def test_no_page_violates_the_guidelines_or_loses_a_word(
    page: Page, world: World, reports: list[str], theme: str, language: str, width: int
) -> None:
    choose(page, theme, language)
    page.set_viewport_size({"width": width, "height": HEIGHT})
    bad: dict[str, list[str]] = {}
    for path in furnish(world):
        response = page.goto(f"/console{path}")
        assert response is not None
        problems = [] if response.status == 200 else [f"status {response.status}"]
        problems += violations(page) + lost_words(page)
        if problems:
            bad[path] = problems
    assert not bad, json.dumps(bad, indent=1, ensure_ascii=False)
    assert reports == []


@pytest.mark.slow
def test_twice_the_size_loses_nothing_and_nothing_moves_by_itself(page: Page, world: World) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.set_viewport_size({"width": HALVED, "height": HEIGHT // 2})
    bad: dict[str, list[str]] = {}
    for path in furnish(world):
        page.goto(f"/console{path}")
        moving = page.evaluate("document.getAnimations().map(each => each.animationName)")
        problems = lost_words(page) + [f"moves: {name}" for name in moving]
        if problems:
            bad[path] = problems
    assert not bad, json.dumps(bad, indent=1, ensure_ascii=False)


@pytest.mark.usefixtures("pseudo")
def test_long_words_of_another_language_are_not_cut(page: Page, world: World) -> None:
    page.set_viewport_size({"width": NARROW, "height": HEIGHT})
    bad: dict[str, list[str]] = {}
    for path in furnish(world):
        page.goto(f"/console{path}")
        page.evaluate("document.title = ''")  # there are names in it, beside words
        problems = lost_words(page) + [f"bare: {word}" for word in bare_words(page.content())]
        if problems:
            bad[path] = problems
    assert not bad, json.dumps(bad, indent=1, ensure_ascii=False)

"""What an analyst does in a day, by keyboard alone; and that a viewer is offered none of it.

No step clicks: `reach` presses `Tab` until a control has the focus, as a person without a mouse
does, so that a control that cannot be reached, or has no visible focus, fails here.
"""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.effects.world import World
from tests.gateway.console.chromium import in_chromium
from tests.gateway.console.conftest import Browser
from tests.gateway.console.furnished import furnish

pytestmark = in_chromium
MOST_TABS = 400
_FOCUS = """part => {
  const style = getComputedStyle(part);
  return part === document.activeElement && style.outlineStyle !== "none";
}"""


def reach(page: Page, control: Locator) -> None:
    """Press Tab until a control has the focus, and shows it."""
    expect(control).to_be_visible()
    for _ in range(MOST_TABS):
        if control.evaluate("part => part === document.activeElement"):
            assert control.evaluate(_FOCUS), "the focus does not show"
            return
        page.keyboard.press("Tab")
    pytest.fail(f"{control} is not reached by Tab")


def press(page: Page, control: Locator, key: str = "Enter") -> None:
    reach(page, control)
    page.keyboard.press(key)
    page.wait_for_load_state()


def write(page: Page, label: str, text: str) -> None:
    reach(page, page.get_by_label(label, exact=True))
    page.keyboard.insert_text(text)


def test_a_feed_is_found_in_the_catalog_and_subscribed(page: Page) -> None:
    page.goto("/console/feeds")
    press(page, page.get_by_role("link", name="Catalog").first)
    reach(page, page.locator("main [name=q]"))
    page.keyboard.type("urlhaus")
    page.wait_for_url("**q=urlhaus**")
    press(page, page.get_by_role("button", name="Subscribe").first)
    expect(page.get_by_text("The run is queued.")).to_be_visible()


def test_a_value_is_searched_read_and_reported(page: Page, world: World) -> None:
    furnish(world)
    page.goto("/console/")
    page.keyboard.press("/")
    page.keyboard.type("login[.]example[.]com")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?**")
    press(page, page.locator("main").get_by_role("link", name="login[.]example[.]com").first)
    page.wait_for_url("**/observables/domain-name--*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("login[.]example[.]com")
    press(page, page.get_by_role("link", name="Show as a graph"))
    page.wait_for_url("**/graph")


def test_a_rule_is_made_and_a_list_published(page: Page, world: World) -> None:
    world.channel(name="Desk", kind="log", config={})
    page.goto("/console/notifications/rules/new")
    write(page, "Filter", "change.score >= 80")
    write(page, "Name", "Loud ones")
    press(page, page.get_by_label("Desk"), "Space")
    press(page, page.get_by_role("button", name="Save"))
    page.wait_for_url("**/notifications/rules/*-*")
    expect(page.get_by_role("heading", level=1)).to_have_text("Loud ones")
    page.goto("/console/lists/new")
    write(page, "Name", "edge")
    write(page, "Which observables", "observable.score >= 80")
    press(page, page.get_by_role("button", name="Save"))
    page.wait_for_url("**/lists/*-*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("edge")


def test_a_command_is_chosen_from_the_palette_and_help_closes(page: Page) -> None:
    page.goto("/console/")
    page.keyboard.press("Control+k")
    page.keyboard.type("schedules")
    page.keyboard.press("Enter")
    page.wait_for_url("**/schedules")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_a_viewer_is_offered_no_change_on_any_page(
    sign_in: Callable[..., Browser], world: World
) -> None:
    addresses = furnish(world)
    viewer = sign_in(role="viewer")
    own = (
        "/access",
        "/account",
        "/preferences",
        "/sign-out",
        "/sign-in",
        "/search",
        "/notifications/inbox",
    )
    offered: dict[str, set[str]] = {}
    for path in addresses:
        answer = viewer.get(path)
        if answer.status_code != 200:
            assert answer.status_code in {303, 403}, (path, answer.status_code)
            continue
        actions = posts_of(answer.text)
        beyond = {each for each in actions if not each.startswith(own)}
        if beyond:
            offered[path] = beyond
    assert offered == {}


def posts_of(page: str) -> set[str]:
    """Where the forms of a page that change something lead."""
    forms = re.findall(r"<form\b[^>]*>", page)
    changing = [form for form in forms if 'method="post"' in form]
    actions = [re.search(r'action="/console([^"?]*)', form) for form in changing]
    return {match[1] for match in actions if match}

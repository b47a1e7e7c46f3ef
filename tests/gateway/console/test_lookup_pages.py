"""Search and the page of an observable, before the real APIs."""

import csv
import io
import re
from collections.abc import Callable
from html import unescape

import pytest

from services.gateway.console.pages import environment_of
from shared.database import database
from shared.events.feeds import Indicator
from shared.settings import Settings
from shared.stix import detect
from tests.effects.world import World
from tests.gateway.console.conftest import Browser
from tests.observables.conftest import OTHER, chunk, handle

SignIn = Callable[..., Browser]
STORED = [
    "evil.com",
    "login.evil.com",
    "http://login.evil.com/a",
    "198.51.100.0/24",
    "198.51.100.7",
]


def indicators(*values: str) -> list[Indicator]:
    return [Indicator(str(observable.type), observable.value) for observable in map(detect, values)]


@pytest.fixture(scope="module")
def stored(environment: Settings) -> None:
    own = database("observables")
    handle(own, chunk(*indicators(*STORED)))
    handle(own, chunk(*indicators("evil.com"), feed=OTHER))


def text_of(page: str) -> str:
    """What a reader sees of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def observable_path(browser: Browser, value: str) -> str:
    """The path of an observable's page, from the search."""
    page = browser.get("/search", params={"q": value}).text
    match = re.search(r'class="button main" href="/console(/observables/[^"]+)"', page)
    assert match is not None, text_of(page)
    return match[1]


def test_an_empty_search_says_what_to_do(sign_in: SignIn) -> None:
    page = sign_in().get("/search")
    assert page.status_code == 200
    assert "Paste up to 10,000 lines" in text_of(page.text)


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("spelling", ["evil.com", "evil[.]com", "EVIL.com", " evil.com "])
def test_a_value_gives_its_verdict(sign_in: SignIn, spelling: str) -> None:
    page = sign_in(role="viewer").get("/search", params={"q": spelling}).text
    assert "2 sources report it." in text_of(page)
    assert "evil[.]com" in text_of(page)
    assert "login[.]evil[.]com" in text_of(page), "what lies below it"


@pytest.mark.usefixtures("stored")
def test_an_unknown_value_says_so_and_offers_enrichment(sign_in: SignIn) -> None:
    query = {"q": "198.51.100.99"}
    page = text_of(sign_in().get("/search", params=query).text)
    assert "Nobody has reported it." in page
    assert "198[.]51[.]100[.]0/24" in page, "the network that it lies in"
    assert "Query providers about it" in page
    viewer = text_of(sign_in(role="viewer").get("/search", params=query).text)
    assert "Query providers about it" not in viewer


@pytest.mark.usefixtures("stored")
def test_a_list_is_told_apart(sign_in: SignIn) -> None:
    lines = [
        *(f"host{number}.com" for number in range(500)),
        *(f"203[.]0[.]113[.]{number}" for number in range(200)),
        *(f"{number:064x}" for number in range(296)),
        "evil[.]com",
        "hxxp://login.evil[.]com/a",
        "???",
    ]
    answer = sign_in().post("/search", q="\n".join(lines))
    assert answer.status_code == 200
    page = text_of(answer.text)
    assert "2 known 996 unknown" in page, re.findall(
        r"\d+ known \d+ unknown \d+ not recognised", page
    )
    assert page.index("login[.]evil[.]com") < page.index("host0[.]com")


@pytest.mark.usefixtures("stored")
def test_a_report_is_read(sign_in: SignIn) -> None:
    report = (
        "The actor used T1059.001 and talked to evil[.]com.\n"
        "Later it moved to new-c2[.]example.net today."
    )
    page = text_of(sign_in().post("/search", q=report).text)
    assert "2 observables" in page
    assert "T1059.001" in page


@pytest.mark.usefixtures("stored")
def test_what_is_known_in_a_report_stands_apart(sign_in: SignIn) -> None:
    report = "It talked to new-c2[.]example.net first.\nThen it talked to evil[.]com as well."
    page = text_of(sign_in(role="viewer").post("/search", q=report).text)
    assert "1 known 1 unknown" in page
    assert page.index(" Known ") < page.index(" Unknown ")


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize(
    "text",
    ["evil[.]com\nnew.example.net\n???", "We saw evil[.]com.\nThen, of all, new.example.net too."],
)
def test_all_that_was_found_is_exported(sign_in: SignIn, text: str) -> None:
    browser = sign_in(role="viewer")
    answer = browser.post("/search/export", q=text, format="csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="search.csv"'
    rows = {row["value"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    assert rows["evil.com"]["state"] == "known"
    assert rows["new.example.net"]["state"] == "unknown"
    values = browser.post("/search/export", q=text, format="txt").text.splitlines()
    assert values[0] == "evil.com"
    assert "???" not in values
    rows = browser.post("/search/export", q=text, format="json").json()
    assert rows[0]["verdict"], "the verdict of what is known"


def test_an_export_that_is_not_valid_shows_the_page(sign_in: SignIn) -> None:
    browser = sign_in()
    assert "A value, a list" in text_of(browser.post("/search/export", q="", format="csv").text)
    assert "???" in browser.post("/search/export", q="a.com\n???", format="exe").text


def test_what_has_a_name_is_found_by_a_part_of_it(sign_in: SignIn, world: World) -> None:
    tag = Indicator("domain-name", "tagged.example.net", tags=("Wicked Panda",))
    handle(database("observables"), chunk(tag))
    named = {
        "Feed": world.feed(name="Of Wicked Panda"),
        "Channel": world.channel(name="About Wicked Panda"),
    }
    answer = sign_in(role="viewer").get("/search", params={"q": "Wicked Panda"})
    page = text_of(answer.text)
    assert "Tag Wicked Panda" in page
    assert "Feed Of Wicked Panda" in page
    assert "Channel About Wicked Panda" in page
    assert all(identity in answer.text for identity in named.values())


@pytest.mark.usefixtures("stored")
def test_an_observable_explains_its_score(sign_in: SignIn) -> None:
    browser = sign_in()
    answer = browser.get(observable_path(browser, "evil.com"))
    assert answer.status_code == 200
    page = text_of(answer.text)
    assert "Verdict" in page
    sums = re.findall(r'<td[^>]* class="number" translate="no">([+\u2212][\d.]+)</td>', answer.text)
    score = re.search(r"<strong>(\d+)</strong></td><td[^>]*></td></tr></tfoot>", answer.text)
    assert score is not None
    assert round(float(sums[-1].replace("\u2212", "-"))) == int(score[1])
    assert "blocklist" in page
    assert "honeypots" in page
    assert "sentineliq observables explain 'evil.com'" in page


@pytest.mark.usefixtures("stored")
def test_the_past_is_another_page(sign_in: SignIn) -> None:
    browser = sign_in()
    path = observable_path(browser, "evil.com")
    for moment in ("2001-01-01T00:00", "yesterday"):
        answer = browser.get(path, params={"as_of": moment})
        assert answer.status_code == 422
        assert f'value="{moment}' in answer.text, "what was typed stays"


@pytest.mark.usefixtures("stored")
def test_a_sighting_changes_the_score(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    path = observable_path(browser, "198.51.100.7")
    fields = {"value": "198.51.100.7", "type": "ipv4-addr", "kind": "confirmed-malicious"}
    answer = browser.post(f"{path}/sightings", note="seen in <b>our</b> logs", **fields)
    assert answer.headers["location"].endswith("?done=sighting-stored")
    page = browser.get(path)
    assert "kim@acme.example" in page.text
    assert "seen in &lt;b&gt;our&lt;/b&gt; logs" in page.text


@pytest.mark.usefixtures("stored")
def test_a_viewer_is_offered_no_act_and_may_do_none(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    path = observable_path(browser, "evil.com")
    assert "Report a sighting" not in browser.get(path).text
    answer = browser.post(f"{path}/sightings", value="evil.com", type="domain-name", kind="seen")
    assert answer.status_code == 403
    assert "Your role may not do this." in answer.text


@pytest.mark.usefixtures("stored")
def test_acts_on_many_values_are_confirmed_with_their_number(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    fields = {"act": "false-positive", "value": ["evil.com", "login.evil.com"]}
    first = text_of(browser.post("/search/act", **fields).text)
    assert "the scores of 2 values" in first
    assert "login[.]evil[.]com" in first
    second = text_of(browser.post("/search/act", confirmed="yes", note="ours", **fields).text)
    assert "2 sightings are stored" in second


@pytest.mark.usefixtures("stored")
def test_another_tenant_sees_nothing_of_it(sign_in: SignIn) -> None:
    path = observable_path(sign_in(), "login.evil.com")
    assert sign_in(tenant="other").get(path).status_code == 404


def test_facts_name_allow_lists_and_escape_what_others_wrote() -> None:
    template = '{% import "components.html" as ui with context %}{{ ui.facts(facts) }}'
    hit = ["List of <b>resolvers</b>", "known", "cidr", "8.8.8.8", "leading"]
    facts = {"allow_lists": {"hits": [hit]}, "network": {"as_name": "<script>x</script>"}}
    page = environment_of("en").from_string(template).render(facts=facts, visit=None)
    assert "List of &lt;b&gt;resolvers&lt;/b&gt;" in page
    assert "leading" not in page
    assert "&lt;script&gt;" in page

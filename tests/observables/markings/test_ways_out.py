"""A value leaves by no way that its marking closes: every format, every marking, every way out.

What arrived is counted where it arrives: at the provider, in the file that a device polls, at the
client of TAXII, at the other tenant.
"""

import re
from collections.abc import Callable
from ipaddress import ip_network
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.dissemination.membership.fill import fill_lists
from services.observables.list_formats.registry import list_formats
from services.observables.store.handlers import handle_finished
from services.observables.taxii.list_writer import follow_lists
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput
from shared.events import Event, FeedRef
from shared.events.feeds import FINISHED, Indicator, RunFinished
from shared.events.observables import Change, ObservablesChanged
from shared.stix.markings import NOT_FOR_ALL_TENANTS
from tests.observables.conftest import FEED, after, chunk, handle, outbox
from tests.observables.dissemination.conftest import Lists
from tests.observables.enrichment.conftest import World
from tests.observables.markings.conftest import DOCUMENTS, LEVELS, parsed, parsed_all, within
from tests.observables.taxii.conftest import TaxiiClient

ALL = {each.value for each in DOCUMENTS}
ClientFor = Callable[..., TestClient]


def published(own: Database) -> list[Change]:
    events = [msgspec.json.decode(row, type=ObservablesChanged) for row in outbox(own)]
    return [change for event in events for change in event.changes]


def test_every_format_states_every_marking_that_it_can() -> None:
    assert len(DOCUMENTS) == len(ALL) == 156
    assert {each.format for each in DOCUMENTS} == {
        *("csv", "html", "json", "misp", "pdf"),
        *("report", "rss", "spreadsheet", "stix", "xml"),
    }
    assert within("red") < ALL


@pytest.mark.usefixtures("stored")
def test_an_event_says_how_its_value_is_marked_until_it_has_expired(own: Database) -> None:
    markings = {each.value: each.marking for each in DOCUMENTS}
    assert {change.value: change.tlp for change in published(own)} == markings
    handle(own, chunk(at=after(5), gone=parsed_all(DOCUMENTS)))
    changes = published(own)
    assert {change.kind for change in changes} == {"expired"}
    assert {change.value: change.tlp for change in changes} == markings


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("level", LEVELS)
def test_a_provider_is_asked_about_nothing_that_is_marked_above_its_ceiling(
    world: World, client_for: ClientFor, level: str
) -> None:
    world.enricher(max_tlp=level)
    client = client_for("observables", role="admin")
    answer = client.post("/v1/enrichments", json={"values": sorted(ALL)})
    assert answer.status_code < 300, answer.text
    world.ask(*sorted(ALL))
    world.run_worker()
    assert set(world.providers.queries_of("probe")) == within(level)


def addresses(text: str) -> set[str]:
    """The addresses that a file names, those of its networks and of reversed names included."""
    networks = re.findall(r"(?<![\d.])\d+(?:\.\d+){3}(?:/\d+)?(?![\d.])", text)
    # In a policy zone: the width, then the address backwards.
    for width, *backwards in re.findall(r"(\d+)\.(\d+)\.(\d+)\.(\d+)\.(\d+)\.rpz-ip", text):
        networks.append(f"{'.'.join(reversed(backwards))}/{width}")
    named = {str(each) for network in networks for each in ip_network(network, strict=False)}
    return named & ALL


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("level", LEVELS)
def test_a_file_of_a_list_has_nothing_that_is_marked_above_its_ceiling(
    lists: Lists, level: str
) -> None:
    view = lists.create("observable.score >= 1", tlp_ceiling=level, max_growth=None)
    assert set(lists.values(view["id"])) == within(level)
    body = {"name": "edge", "list_ids": [view["id"]]}
    token = lists.client.post("/v1/list-consumers", json=body).json()["token"]
    named: dict[str, set[str]] = {}
    for name in list_formats():
        answer = lists.client.get(f"/lists/{token}/addresses.{name}")
        if answer.status_code == 200:
            named[name] = addresses(answer.text)
    assert len(named) > 10
    leaks = {name for name, values in named.items() if values - within(level)}
    assert leaks == set()
    whole = {name for name, values in named.items() if values == within(level)}
    assert {"plain", "csv", "cidr", "rpz", "stix", "misp"} <= whole


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("level", LEVELS)
def test_a_collection_has_nothing_that_is_marked_above_the_ceiling_of_its_list(
    lists: Lists, client_for: ClientFor, own: Database, level: str
) -> None:
    view = lists.create("observable.score >= 1", tlp_ceiling=level, max_growth=None)
    taxii = TaxiiClient(client_for("observables"))
    collection = taxii.create("blocked", is_writable=False, list_id=view["id"])
    follow_lists(own)
    objects = taxii.objects(collection, limit=1000)["objects"]
    assert {value for each in objects for value in addresses(each["pattern"])} == within(level)


def test_a_list_drops_what_its_feed_marks_anew(lists: Lists, own: Database) -> None:
    view = lists.create("observable.score >= 1", tlp_ceiling="amber", max_shrink=None)
    lists.see(Indicator("ipv4-addr", "45.33.9.9"))
    assert lists.values(view["id"]) == ["45.33.9.9"]
    marked = msgspec.structs.replace(FEED, tlp="red")
    with own.transaction("acme") as session:
        ended = RunFinished(marked, UUID(int=9), "unchanged")
        handle_finished(session, [Event(FINISHED, ended, "acme", "/services/feeds")])
    fill_lists(own)
    assert lists.values(view["id"]) == []
    with own.transaction(PLATFORM) as session:
        before = session.scalars(sa.text("SELECT revision FROM dissemination_list")).one()
    fill_lists(own)
    with own.transaction(PLATFORM) as session:
        query = sa.text("SELECT revision, filled_revision FROM dissemination_list")
        assert tuple(session.execute(query).one()) == (before, before)


def test_a_retracted_value_that_a_person_confirms_stays_marked(lists: Lists) -> None:
    view = lists.create("observable.score >= 1", tlp_ceiling="amber")
    marked = Indicator("ipv4-addr", "45.33.9.9", tags=("tlp:red",))
    lists.see(marked)
    lists.see(gone=[marked], at=after(5))
    report = {"value": "45.33.9.9", "kind": "confirmed-malicious"}
    assert lists.client.post("/v1/sightings", json={"sightings": [report]}).status_code < 300
    lists.follow()
    assert lists.values(view["id"]) == []
    lists.client.patch(f"/v1/lists/{view['id']}", json={"filter": "observable.score >= 2"})
    fill_lists(lists.own)
    assert lists.values(view["id"]) == []
    assert lists.why(view["id"], "45.33.9.9")["state"] == "refused"


def test_what_a_document_says_twice_is_bound_by_the_stricter_marking(own: Database) -> None:
    for number, tags in enumerate([("tlp:red",), ()]):
        first = Indicator("ipv4-addr", f"45.33.8.{number}", confidence=10, tags=tags)
        second = Indicator("ipv4-addr", f"45.33.8.{number}", tags=("tlp:red",)[len(tags) :])
        handle(own, chunk(first, second))
        run = UUID(int=7 + number)
        apart = [
            msgspec.structs.replace(each, value=f"45.33.8.{10 + number}")
            for each in (first, second)
        ]
        for place, item in enumerate(apart):
            handle(own, chunk(item, run=run, number=place, at=after(1)))
    newest = {change.value: change.tlp for change in published(own)}
    assert set(newest.values()) == {"red"}


@pytest.mark.usefixtures("stored")
def test_another_tenant_learns_nothing_of_a_tenant_s_values(client_for: ClientFor) -> None:
    stranger = client_for("observables", tenant="umbrella")
    answer = stranger.post("/v1/lookup", json={"values": sorted(ALL)})
    assert answer.status_code == 200
    assert [item for item in answer.json()["items"] if item["observable"]] == []
    report = "It calls " + ", ".join(sorted(ALL)) + "."
    headers = {"content-type": "text/plain"}
    extracted = stranger.post("/v1/extract", content=report, headers=headers)
    assert extracted.status_code == 200
    assert "blocklist" not in extracted.text


def test_all_tenants_read_of_a_public_feed_what_is_marked_for_all(
    own: Database, client_for: ClientFor
) -> None:
    handle(own, chunk(*parsed_all(DOCUMENTS, is_public=True), tenant="public"), tenant="public")
    stranger = client_for("observables", tenant="umbrella")
    visible = {
        value
        for value in sorted(ALL)
        if stranger.get("/v1/lookup", params={"value": value}).json()["observable"]
    }
    assert visible == {each.value for each in DOCUMENTS if each.marking not in NOT_FOR_ALL_TENANTS}


def test_a_chunk_of_a_public_feed_that_is_marked_for_fewer_is_not_applied(
    own: Database, client_for: ClientFor
) -> None:
    closed = [each for each in DOCUMENTS if each.marking in NOT_FOR_ALL_TENANTS]
    items = [item for document in closed for item in parsed(document)]
    handle(own, chunk(*items, tenant="public"), tenant="public")
    stranger = client_for("observables", tenant="umbrella")
    assert stranger.get("/v1/observables").json()["items"] == []
    for tlp in ("amber+strict", "red", "mauve"):
        marked = FeedRef(UUID(int=9), "marked", 80, tlp, "snapshot")
        event = chunk(Indicator("ipv4-addr", "45.33.9.9"), feed=marked, tenant="public")
        with pytest.raises(InvalidInput, match="fewer readers"):
            handle(own, event, tenant="public")

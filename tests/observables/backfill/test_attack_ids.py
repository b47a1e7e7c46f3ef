"""From the cards of techniques to the ATT&CK ids of observables, on a real database and log."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError
from starlette.testclient import TestClient

from services.mitre.imports import repository
from services.mitre.imports.execution import execute
from services.observables.attack import current_index
from services.observables.attack.handlers import handle_techniques
from services.observables.backfill.attack_ids import remap_assertions
from services.observables.consumers import SUBSCRIPTIONS
from shared.database import PUBLIC, Database, database
from shared.events import Event
from shared.events.feeds import Indicator
from shared.events.mitre import TECHNIQUES, TechniqueCard
from shared.events.observables import Change, ObservablesChanged
from shared.kafka.consumer import Consumer
from shared.kafka.relay import Relay
from shared.settings import Settings
from tests.mitre.conftest import bundle, pattern, user
from tests.observables.attack.test_index import BEAR, EMOTET, STRIKE, card
from tests.observables.conftest import OTHER, after, chunk, handle, outbox

AT_ONCE = timedelta(0)
ADDRESS = "192.0.2.7"
INDICATOR = Indicator("ipv4-addr", ADDRESS, malware="Emotet", tags=("apt28",))


@pytest.fixture
def mapped(own: Database) -> Iterator[Database]:
    """A database without cards, in a process without an index; both are so again afterwards."""
    with own.engine.begin() as connection:
        for table in ("attack_technique", "dataset"):
            connection.execute(sa.text(f"TRUNCATE observables.{table}"))
    reload_index(own)
    yield own
    with own.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE observables.dataset"))
    reload_index(own)


def reload_index(own: Database) -> None:
    with own.transaction(PUBLIC) as session:
        current_index.reload_if_stale(session, now=True)


def receive(own: Database, *cards: TechniqueCard) -> None:
    """Receive cards, and reload the index in this process."""
    events = [
        Event(TECHNIQUES, card, PUBLIC, "/services/mitre", key=card.attack_id.encode())
        for card in cards
    ]
    with own.transaction(PUBLIC) as session:
        handle_techniques(session, events)
    reload_index(own)


def published(own: Database) -> list[Change]:
    changes: list[Change] = []
    for payload in outbox(own):
        changes += msgspec.json.decode(payload, type=ObservablesChanged).changes
    return changes


def observable(client: TestClient, **query: str) -> dict:
    return client.get("/v1/lookup", params={"value": ADDRESS, **query}).json()["observable"]


def test_new_assertions_are_mapped_as_they_come(
    mapped: Database, client_for: Callable[..., TestClient]
) -> None:
    receive(mapped, card("T1059.001", EMOTET), card("T1566", BEAR))

    handle(mapped, chunk(INDICATOR), chunk(Indicator("ipv4-addr", "192.0.2.8"), number=1))

    expected = ["G0007", "S0367", "T1059.001", "T1566"]
    shown = observable(client_for("observables"))
    assert shown["attack"] == shown["assertions"][0]["attack"] == expected
    assert {change.value: list(change.attack) for change in published(mapped)} == {
        ADDRESS: expected,
        "192.0.2.8": [],
    }


def test_changed_assertions_are_announced_with_their_ids(mapped: Database) -> None:
    receive(mapped, card("T1059.001", EMOTET), card("T1059", STRIKE))
    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="Emotet")))
    published(mapped)

    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="Cobalt Strike"), at=after(5)))

    (change,) = published(mapped)
    assert (change.kind, change.score, change.score_before) == ("changed", 72, 72)
    assert change.attack == ("S0154", "T1059")


def test_older_assertions_are_mapped_and_announced_once_and_the_past_stays(
    mapped: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(mapped, chunk(INDICATOR, Indicator("ipv4-addr", "192.0.2.8", tags=("phishing",))))
    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="Emotet"), feed=OTHER))
    published(mapped)
    before = datetime.now(UTC)
    client = client_for("observables")
    assert observable(client)["attack"] == []

    receive(mapped, card("T1059.001", EMOTET), card("T1566", BEAR))
    assert remap_assertions(mapped) == 0, "more cards may be under way"
    assert remap_assertions(mapped, settle_time=AT_ONCE) == 2

    (change,) = published(mapped)
    assert (change.kind, change.value, change.sources) == ("changed", ADDRESS, 2)
    assert (change.score, change.score_before) == (85, 85)
    expected = ["G0007", "S0367", "T1059.001", "T1566"]
    assert list(change.attack) == observable(client)["attack"] == expected
    assert {tuple(assertion["attack"]) for assertion in observable(client)["assertions"]} == {
        ("G0007", "S0367", "T1059.001", "T1566"),
        ("S0367", "T1059.001"),
    }
    assert observable(client, as_of=before.isoformat())["attack"] == []
    assert remap_assertions(mapped, settle_time=AT_ONCE) == 0
    assert published(mapped) == []


def test_a_backfill_that_was_cut_short_goes_on(mapped: Database) -> None:
    handle(mapped, chunk(INDICATOR), tenant="acme")
    handle(mapped, chunk(INDICATOR, tenant="globex"), tenant="globex")
    receive(mapped, card("T1059.001", EMOTET))
    assert remap_assertions(mapped, seconds=0, settle_time=AT_ONCE) == 0
    assert remap_assertions(mapped, settle_time=AT_ONCE) == 2
    for tenant in ("acme", "globex"):
        with mapped.transaction(tenant) as session:
            assert session.scalars(sa.text("SELECT attack FROM assertion")).all() == [
                ["S0367", "T1059.001"]
            ]


def test_new_users_and_deprecated_techniques_change_stored_ids(
    mapped: Database,
) -> None:
    receive(mapped, card("T1059.001", EMOTET), card("T1100", EMOTET))
    handle(mapped, chunk(INDICATOR))
    assert [change.attack for change in published(mapped)] == [("S0367", "T1059.001", "T1100")]

    receive(mapped, card("T1059.001", EMOTET, STRIKE), card("T1100", EMOTET, deprecated=True))
    assert remap_assertions(mapped, settle_time=AT_ONCE) == 1

    assert [change.attack for change in published(mapped)] == [("S0367", "T1059.001")]


def test_cards_that_come_again_change_nothing_and_order_does_not_matter(mapped: Database) -> None:
    def stored() -> tuple:
        with mapped.transaction(PUBLIC) as session:
            cards = session.execute(
                sa.text("SELECT attack_id, card::text FROM attack_technique ORDER BY 1")
            )
            datasets = session.execute(sa.text("SELECT digest, packed, described FROM dataset"))
            return cards.all(), datasets.all()

    cards = [card("T1059.001", EMOTET), card("T1566", BEAR)]
    receive(mapped, *cards)
    remap_assertions(mapped, settle_time=AT_ONCE)
    before = stored()
    receive(mapped, *reversed(cards))
    receive(mapped, cards[0])
    assert stored() == before
    receive(mapped, card("T1059.001", STRIKE), cards[0])
    assert stored() == before, "of two cards of a technique the later one counts"


def test_only_operators_write_public_cards(mapped: Database) -> None:
    receive(mapped, card("T1059.001", EMOTET))
    with mapped.transaction("acme") as session:
        assert session.scalar(sa.text("SELECT count(*) FROM attack_technique")) == 1
    with pytest.raises(ProgrammingError) as refused, mapped.transaction("acme") as session:
        session.execute(sa.text("INSERT INTO attack_technique VALUES ('public', 'T1', '{}')"))
    assert isinstance(refused.value.orig, InsufficientPrivilege)


def test_many_techniques_of_many_observables_fit_into_events(mapped: Database) -> None:
    receive(mapped, *(card(f"T{number}", EMOTET) for number in range(1000, 1100)))
    addresses = [f"10.0.{n >> 8}.{n & 255}" for n in range(1000)]
    indicators = [Indicator("ipv4-addr", address, malware="Emotet") for address in addresses]
    handle(mapped, chunk(*indicators))
    assert {len(change.attack) for change in published(mapped)} == {101}


def test_a_release_that_is_loaded_shows_on_observables(
    mapped: Database, settings: Settings, client_for: Callable[..., TestClient]
) -> None:
    """Nothing is faked: a load, its outbox, the log, the consumer, an indicator, the API."""
    release = bundle(
        "18.1",
        pattern("T1059", "Interpreter"),
        pattern("T1566", "Phishing"),
        *user("S0367", "Emotet", "T1059", x_mitre_aliases=["Emotet", "Geodo"]),
        *user("G0007", "APT28", "T1566", kind="intrusion-set", aliases=["APT28"]),
    )
    attack = database("mitre")
    operator = client_for("mitre", role="operator")
    upload = operator.post("/v1/loads/upload", params={"name": "a"}, content=release)
    assert upload.status_code == 202
    with attack.transaction(PUBLIC) as session:
        (waiting,) = repository.list_open_imports(session)
    assert execute(attack, settings, waiting.id).status == "succeeded"

    async def until_handled() -> None:
        work = [Relay(attack, settings).run(), Consumer(mapped, settings, SUBSCRIPTIONS).run()]
        tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
        async with asyncio.timeout(60):
            while await asyncio.to_thread(_cards, mapped) < 2:
                await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(until_handled())
    reload_index(mapped)
    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="win.geodo", tags=("apt28",))))

    client = client_for("observables")
    assert observable(client)["attack"] == ["G0007", "S0367", "T1059", "T1566"]
    datasets = {dataset["name"]: dataset for dataset in client.get("/v1/reference").json()}
    assert datasets["attack"]["origin"] == "mitre.techniques.v1"


def _cards(own: Database) -> int:
    with own.transaction(PUBLIC) as session:
        return session.scalar(sa.text("SELECT count(*) FROM attack_technique")) or 0

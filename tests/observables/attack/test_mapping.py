"""From the cards of techniques to what observables show: on the real database, and over the real log."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import sqlalchemy as sa
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError
from starlette.testclient import TestClient

from services.mitre.imports import loader, repository
from services.observables.attack import current_index
from services.observables.attack.handlers import handle_techniques, remap_assertions
from services.observables.consumers import SUBSCRIPTIONS
from shared.database import PUBLIC, Database, database
from shared.events import Event
from shared.events.feeds import Indicator
from shared.events.mitre import TECHNIQUES, TechniqueCard
from shared.events.observables import Change, ObservablesChanged
from shared.kafka.consumer import Consumer
from shared.kafka.outbox import Relay
from shared.settings import Settings
from tests.mitre.conftest import bundle, pattern, user
from tests.observables.attack.test_index import BEAR, EMOTET, STRIKE, card
from tests.observables.conftest import OTHER, after, chunk, handle, outbox

AT_ONCE = timedelta(0)
ADDRESS = "192.0.2.7"
SAID = Indicator("ipv4-addr", ADDRESS, malware="Emotet", tags=("apt28",))


@pytest.fixture
def mapped(own: Database) -> Iterator[Database]:
    """A database that knows nothing of ATT&CK, and a process that will have forgotten it."""
    with own.engine.begin() as connection:
        for table in ("attack_technique", "dataset"):
            connection.execute(sa.text(f"TRUNCATE observables.{table}"))
    forget(own)
    yield own
    with own.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE observables.dataset"))
    forget(own)


def forget(own: Database) -> None:
    with own.transaction(PUBLIC) as session:
        current_index.reload_if_stale(session, now=True)


def take(own: Database, *cards: TechniqueCard) -> None:
    """Cards come in, and this process looks for the index."""
    events = [
        Event(TECHNIQUES, one, PUBLIC, "/services/mitre", key=one.attack_id.encode())
        for one in cards
    ]
    with own.transaction(PUBLIC) as session:
        handle_techniques(session, events)
    forget(own)


def said(own: Database) -> list[Change]:
    found = [msgspec.json.decode(payload, type=ObservablesChanged) for payload in outbox(own)]
    return [one for each in found for one in each.changes]


def observable(client: TestClient, **query: str) -> dict:
    return client.get("/v1/lookup", params={"value": ADDRESS, **query}).json()["observable"]


def test_what_a_source_says_is_mapped_as_it_comes(
    mapped: Database, client_for: Callable[..., TestClient]
) -> None:
    take(mapped, card("T1059.001", EMOTET), card("T1566", BEAR))

    handle(mapped, chunk(SAID), chunk(Indicator("ipv4-addr", "192.0.2.8"), number=1))

    expected = ["G0007", "S0367", "T1059.001", "T1566"]
    found = observable(client_for("observables"))
    assert found["attack"] == found["assertions"][0]["attack"] == expected
    assert {one.value: list(one.attack) for one in said(mapped)} == {
        ADDRESS: expected,
        "192.0.2.8": [],
    }


def test_what_a_source_says_later_is_announced_in_terms_of_attack(mapped: Database) -> None:
    take(mapped, card("T1059.001", EMOTET), card("T1059", STRIKE))
    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="Emotet")))
    said(mapped)

    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="Cobalt Strike"), at=after(5)))

    (change,) = said(mapped)
    assert (change.kind, change.score, change.score_before) == ("changed", 72, 72)
    assert change.attack == ("S0154", "T1059")


def test_what_came_before_the_index_is_mapped_with_it_announced_once_and_told_of_the_past(
    mapped: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(mapped, chunk(SAID, Indicator("ipv4-addr", "192.0.2.8", tags=("phishing",))))
    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="Emotet"), feed=OTHER))
    said(mapped)
    before = datetime.now(UTC)
    client = client_for("observables")
    assert observable(client)["attack"] == []

    take(mapped, card("T1059.001", EMOTET), card("T1566", BEAR))
    assert remap_assertions(mapped) == 0, "more cards may be under way"
    assert remap_assertions(mapped, still_for=AT_ONCE) == 2

    (change,) = said(mapped)
    assert (change.kind, change.value, change.sources) == ("changed", ADDRESS, 2)
    assert (change.score, change.score_before) == (85, 85)
    assert (
        list(change.attack)
        == observable(client)["attack"]
        == ["G0007", "S0367", "T1059.001", "T1566"]
    )
    assert {tuple(one["attack"]) for one in observable(client)["assertions"]} == {
        ("G0007", "S0367", "T1059.001", "T1566"),
        ("S0367", "T1059.001"),
    }
    assert observable(client, as_of=before.isoformat())["attack"] == []
    assert remap_assertions(mapped, still_for=AT_ONCE) == 0
    assert said(mapped) == []


def test_mapping_that_was_cut_short_is_gone_on_with(mapped: Database) -> None:
    handle(mapped, chunk(SAID), tenant="acme")
    handle(mapped, chunk(SAID, tenant="globex"), tenant="globex")
    take(mapped, card("T1059.001", EMOTET))
    assert remap_assertions(mapped, seconds=0, still_for=AT_ONCE) == 0
    assert remap_assertions(mapped, still_for=AT_ONCE) == 2
    for tenant in ("acme", "globex"):
        with mapped.transaction(tenant) as session:
            assert session.scalars(sa.text("SELECT attack FROM assertion")).all() == [
                ["S0367", "T1059.001"]
            ]


def test_a_technique_that_others_use_now_changes_what_is_stored_and_what_is_gone_stands_for_nothing(
    mapped: Database,
) -> None:
    take(mapped, card("T1059.001", EMOTET), card("T1100", EMOTET))
    handle(mapped, chunk(SAID))
    assert [one.attack for one in said(mapped)] == [("S0367", "T1059.001", "T1100")]

    take(mapped, card("T1059.001", EMOTET, STRIKE), card("T1100", EMOTET, deprecated=True))
    assert remap_assertions(mapped, still_for=AT_ONCE) == 1

    assert [one.attack for one in said(mapped)] == [("S0367", "T1059.001")]


def test_cards_that_come_again_change_nothing_and_order_does_not_matter(mapped: Database) -> None:
    def stored() -> tuple:
        with mapped.transaction(PUBLIC) as session:
            rows = session.execute(
                sa.text("SELECT attack_id, card::text FROM attack_technique ORDER BY 1")
            ).all()
            return rows, session.execute(
                sa.text("SELECT digest, packed, described FROM dataset")
            ).all()

    cards = [card("T1059.001", EMOTET), card("T1566", BEAR)]
    take(mapped, *cards)
    remap_assertions(mapped, still_for=AT_ONCE)
    before = stored()
    take(mapped, *reversed(cards))
    take(mapped, cards[0])
    assert stored() == before
    take(mapped, card("T1059.001", STRIKE), cards[0])
    assert stored() == before, "of two cards of a technique the later one counts"


def test_only_operators_write_what_everybody_reads(mapped: Database) -> None:
    take(mapped, card("T1059.001", EMOTET))
    with mapped.transaction("acme") as session:
        assert session.scalar(sa.text("SELECT count(*) FROM attack_technique")) == 1
    with pytest.raises(ProgrammingError) as refused, mapped.transaction("acme") as session:
        session.execute(sa.text("INSERT INTO attack_technique VALUES ('public', 'T1', '{}')"))
    assert isinstance(refused.value.orig, InsufficientPrivilege)


def test_many_techniques_of_many_observables_fit_into_events(mapped: Database) -> None:
    take(mapped, *(card(f"T{number}", EMOTET) for number in range(1000, 1100)))
    handle(
        mapped,
        chunk(
            *(
                Indicator("ipv4-addr", f"10.0.{n >> 8}.{n & 255}", malware="Emotet")
                for n in range(1000)
            )
        ),
    )
    assert {len(one.attack) for one in said(mapped)} == {101}


def test_a_release_that_is_loaded_shows_on_observables(
    mapped: Database, settings: Settings, client_for: Callable[..., TestClient]
) -> None:
    """Everything real: a load, its outbox, the log, the consumer, the index, an indicator, the API."""
    release = bundle(
        "18.1",
        pattern("T1059", "Interpreter"),
        pattern("T1566", "Phishing"),
        *user("S0367", "Emotet", "T1059", x_mitre_aliases=["Emotet", "Geodo"]),
        *user("G0007", "APT28", "T1566", kind="intrusion-set", aliases=["APT28"]),
    )
    attack = database("mitre")
    operator = client_for("mitre", role="operator")
    assert (
        operator.post("/v1/loads/upload", params={"name": "a"}, content=release).status_code == 202
    )
    with attack.transaction(PUBLIC) as session:
        (waiting,) = repository.open_loads(session)
    assert loader.execute(attack, settings, waiting.id)["status"] == "succeeded"

    async def until_taken() -> None:
        work = [Relay(attack, settings).run(), Consumer(mapped, settings, SUBSCRIPTIONS).run()]
        tasks = [asyncio.ensure_future(one) for one in work]
        async with asyncio.timeout(60):
            while await asyncio.to_thread(_cards, mapped) < 2:
                await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(until_taken())
    forget(mapped)
    handle(mapped, chunk(Indicator("ipv4-addr", ADDRESS, malware="win.geodo", tags=("apt28",))))

    client = client_for("observables")
    assert observable(client)["attack"] == ["G0007", "S0367", "T1059", "T1566"]
    known = {one["name"]: one for one in client.get("/v1/reference").json()}
    assert known["attack"]["origin"] == "mitre.techniques.v1"


def _cards(own: Database) -> int:
    with own.transaction(PUBLIC) as session:
        return session.scalar(sa.text("SELECT count(*) FROM attack_technique")) or 0

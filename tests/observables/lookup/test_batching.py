"""Lookups of the same moment: answered together, each from what its own tenant sees."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import sqlalchemy as sa

from services.observables.lookup import assembly, batching
from services.observables.lookup.batching import Lookups
from services.observables.store.due_scores import check_due
from services.observables.store.repository import networks
from shared.database import Database
from shared.errors import Unavailable
from shared.events.feeds import Indicator
from tests.observables.conftest import after, chunk, handle

ADDRESSES = [f"198.51.{number // 250}.{number % 250 + 1}" for number in range(1_000)]


def stored(own: Database) -> None:
    handle(own, chunk(*(Indicator("ipv4-addr", address) for address in ADDRESSES[::2])))
    handle(
        own,
        chunk(*(Indicator("ipv4-addr", address) for address in ADDRESSES[1::2]), tenant="globex"),
        tenant="globex",
    )


def are_known(answer: bytes) -> list[bool]:
    return [answer_item["observable"] is not None for answer_item in json.loads(answer)["items"]]


def test_each_question_gets_its_own_answers_however_they_are_put_together(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(own)
    monkeypatch.setattr(batching, "MAX_TOGETHER", 70)
    monkeypatch.setattr(assembly, "MAX_TOGETHER", 70)

    async def ask() -> list[tuple[str, list[str], bytes]]:
        lookups = Lookups(own)
        requests = [
            (tenant, ADDRESSES[start : start + size])
            for size in (1, 3, 69, 70, 71, 500)
            for start in (0, 1, 333)
            for tenant in ("acme", "globex")
        ]
        answers = await asyncio.gather(
            *(lookups.look_up_many(tenant, values) for tenant, values in requests)
        )
        return [(*question, answer) for question, answer in zip(requests, answers, strict=True)]

    for tenant, values, answer in asyncio.run(ask()):
        assert [answer_item["value"] for answer_item in json.loads(answer)["items"]] == values
        stored_values = set(ADDRESSES[::2] if tenant == "acme" else ADDRESSES[1::2])
        assert are_known(answer) == [value in stored_values for value in values]


def test_questions_are_answered_after_the_thread_has_gone_to_rest(own: Database) -> None:
    stored(own)

    async def ask() -> list[bytes]:
        lookups = Lookups(own)
        answers = []
        for _ in range(20):
            answers.append(await lookups.look_up("acme", ADDRESSES[0]))
            await asyncio.sleep(0.002)
        return answers

    assert all(json.loads(answer)["observable"] for answer in asyncio.run(ask()))


def test_whoever_asks_while_the_database_is_away_is_told_and_the_next_is_answered(
    own: Database,
) -> None:
    stored(own)

    async def ask() -> None:
        away = Database(
            sa.make_url(own.url).set(port=1).render_as_string(hide_password=False), "observables"
        )
        lookups = Lookups(away)
        outcomes = await asyncio.gather(
            *(lookups.look_up_many("acme", ADDRESSES[:5]) for _ in range(3)), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        lookups._database = own  # the database comes back
        lookups.data_dates._database = own
        assert are_known(await lookups.look_up_many("acme", ADDRESSES[:2])) == [True, False]

    asyncio.run(ask())


def test_a_question_whose_asker_has_gone_keeps_nobody_from_theirs(own: Database) -> None:
    stored(own)

    async def ask() -> None:
        lookups = Lookups(own)
        gone = [asyncio.create_task(lookups.look_up_many("acme", ADDRESSES)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        assert are_known(await lookups.look_up_many("globex", ADDRESSES[:4])) == [
            False,
            True,
            False,
            True,
        ]

    asyncio.run(ask())


def test_a_process_that_begins_again_with_another_loop_answers(own: Database) -> None:
    stored(own)
    lookups = Lookups(own)

    async def go_away() -> None:
        asking = asyncio.create_task(lookups.look_up_many("acme", ADDRESSES))
        await asyncio.sleep(0)
        asking.cancel()

    async def ask() -> bytes:
        return await asyncio.wait_for(lookups.look_up_many("acme", ADDRESSES[:2]), 20)

    asyncio.run(go_away())
    assert are_known(asyncio.run(ask())) == [True, False]


# A connection prepares a statement when it uses it for the sixth time; there are one or two.
@pytest.mark.parametrize("uses", [0, 5, 10])
@pytest.mark.parametrize("table", ["observable", "assertion", "sighting"])
def test_a_question_that_the_database_gives_up_on_spoils_no_later_one(
    own: Database, table: str, uses: int
) -> None:
    stored(own)
    single = Database(own.url, "observables", pool_size=1)

    def ask() -> None:
        assert assembly.answer(single, "acme", ADDRESSES[:2])[0].observable
        time.sleep(0.02)  # connections are back in the pool

    for _ in range(uses):
        ask()
    with own.connect() as other, own.connect() as third, ThreadPoolExecutor(1) as thread:
        other.execute(f"BEGIN; LOCK TABLE observables.{table} IN ACCESS EXCLUSIVE MODE")
        running = thread.submit(ask)
        given_up = (
            "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation IS NOT NULL"
        )
        for _ in range(1_000):
            if third.execute(given_up).rowcount:
                break
            time.sleep(0.01)
        other.execute("ROLLBACK")
        with pytest.raises(Unavailable):
            running.result(20)
    for _ in range(8):
        ask()
    single.close()


def test_nothing_can_be_written_where_only_reading_was_meant(own: Database) -> None:
    with (
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
        own.read_transaction("acme") as connection,
    ):
        connection.execute("DELETE FROM observable").fetchall()


def test_of_what_is_in_many_networks_as_much_is_told_as_of_one(own: Database) -> None:
    stored(own)
    handle(
        own,
        chunk(*(Indicator("ipv4-addr", address) for address in ADDRESSES[:300]), tenant="public"),
        tenant="public",
    )
    networks = [f"198.51.{third}.0/{length}" for third in range(4) for length in range(22, 33)] * 8
    alone = {
        network: assembly.answer(own, "acme", [network])[0].inside for network in set(networks)
    }
    for network, answer in zip(networks, assembly.answer(own, "acme", networks), strict=True):
        assert answer.value == network
        assert answer.inside == alone[network]
    assert len(alone["198.51.0.0/24"]) == assembly.MAX_INSIDE


def test_of_a_network_the_highest_scores_are_answered_then_the_first_values(own: Database) -> None:
    confidences = {address: 20 + 10 * (number % 7) for number, address in enumerate(ADDRESSES)}
    indicators = [
        Indicator("ipv4-addr", address, confidence=confidence)
        for address, confidence in confidences.items()
    ]
    handle(own, chunk(*indicators[::-1]))
    handle(own, chunk(*indicators[::3], tenant="public"), tenant="public")
    check_due(own)  # public reports count for the tenant, too
    (answer,) = assembly.answer(own, "acme", ["198.51.0.0/16"])
    answered = [(-reference.score, reference.value) for reference in answer.inside]
    with own.transaction("acme") as session:
        stored_rows = session.execute(
            sa.text("SELECT -score, value FROM observable WHERE tenant = 'acme'")
        )
        expected = sorted(tuple(row) for row in stored_rows)[: assembly.MAX_INSIDE]
    assert answered == expected


def test_a_large_network_is_cut_by_its_addresses(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "CANDIDATES", 150)
    handle(own, chunk(*(Indicator("ipv4-addr", address) for address in ADDRESSES[::-1])))
    late = [Indicator("ipv4-addr", address, confidence=100) for address in ADDRESSES[149:500]]
    handle(own, chunk(*late, at=after(1)))
    (answer,) = assembly.answer(own, "acme", ["198.51.0.0/16"])
    assert [reference.value for reference in answer.inside] == [
        ADDRESSES[149],
        *sorted(ADDRESSES[:149])[: assembly.MAX_INSIDE - 1],
    ]


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        ("198.51.100.0/24", assembly.MAX_INSIDE),
        ("198.51.100.0/24\r", assembly.MAX_INSIDE),
        (" 2001:db8::/32\u00a0", assembly.MAX_INSIDE),
        ("198.51.100.7", 1),
        ("http://login.example/123", 1),
    ],
)
def test_a_network_counts_for_as_many_values_as_may_be_told_of_it(value: str, weight: int) -> None:
    parts = list(assembly.cut([value] * 6_000))
    assert [value_ for part, _ in parts for value_ in part] == [value] * 6_000
    assert all(weight_ == len(part) * weight <= assembly.MAX_TOGETHER for part, weight_ in parts)
    assert len(parts) == -(-6_000 // (assembly.MAX_TOGETHER // weight))

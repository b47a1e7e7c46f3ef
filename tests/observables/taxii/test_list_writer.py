"""Collections of lists: what joins is added, what leaves is taken back, what returns is new."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
import sqlalchemy as sa
import stix2
from starlette.testclient import TestClient

from services.observables.taxii.list_writer import PIECE, follow_list, follow_lists
from shared.database import PLATFORM, Database
from tests.observables.conftest import after
from tests.observables.dissemination.conftest import Lists, address
from tests.observables.taxii.conftest import TaxiiClient

ClientFor = Callable[..., TestClient]


@pytest.fixture
def lists(own: Database, taxii: TaxiiClient) -> Lists:
    return Lists(own, taxii.http)


def add_collection(taxii: TaxiiClient, list_id: str, title: str = "blocked") -> str:
    return taxii.create(title, is_writable=False, list_id=list_id)


def current(taxii: TaxiiClient, collection: str, **query: Any) -> list[dict[str, Any]]:
    """The objects of a collection, all pages, as a client reads them."""
    objects: list[dict[str, Any]] = []
    while True:
        page = taxii.objects(collection, **query)
        objects += page.get("objects", [])
        if not page.get("more"):
            return objects
        query = {"next": page["next"]}


def patterns(objects: list[dict[str, Any]], *, revoked: bool = False) -> list[str]:
    return [entry["pattern"] for entry in objects if entry.get("revoked", False) is revoked]


def pattern(number: int) -> str:
    return f"[ipv4-addr:value = '{address(number).value}']"


def test_a_member_is_an_indicator_and_what_leaves_is_revoked_at_the_next_poll(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    lists.see(address(1), address(2))
    shared = lists.create(max_shrink=None)
    collection = add_collection(taxii, shared["id"])
    assert follow_lists(own) == {collection: 2}
    first = current(taxii, collection)
    assert sorted(patterns(first)) == sorted([pattern(1), pattern(2)])
    for entry in first:
        stix2.parse(entry)
        assert entry["valid_from"] == entry["created"] == entry["modified"]
    answer = taxii.get(f"collections/{collection}/objects/")
    last = answer.headers["x-taxii-date-added-last"]

    lists.see(at=after(10), gone=[address(1)])
    assert lists.values(shared["id"]) == [address(2).value]
    assert follow_lists(own) == {collection: 1}
    (gone,) = current(taxii, collection, added_after=last)
    before = next(entry for entry in first if entry["pattern"] == pattern(1))
    changed = {name for name in gone if gone.get(name) != before.get(name)}
    assert changed == {"modified", "revoked", "valid_until"}
    assert gone["revoked"] is True
    assert gone["valid_until"] == gone["modified"] > before["modified"]
    stix2.parse(gone)
    versions = taxii.get(f"collections/{collection}/objects/{gone['id']}/versions/").json()
    assert len(versions["versions"]) == 2

    lists.see(address(1), at=after(20))
    assert follow_lists(own) == {collection: 1}
    objects = current(taxii, collection)
    (again,) = [entry for entry in objects if entry["pattern"] == pattern(1) and entry != gone]
    assert again["id"] != gone["id"]
    assert "revoked" not in again
    assert follow_lists(own) == {}


def test_two_collections_of_a_list_have_indicators_of_their_own(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    lists.see(address(1))
    shared = lists.create()
    collections = [add_collection(taxii, shared["id"], title) for title in ("one", "two")]
    follow_lists(own)
    ids = {current(taxii, collection)[0]["id"] for collection in collections}
    assert len(ids) == 2


def test_a_list_that_is_a_collection_gets_one_by_itself(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    lists.see(address(1))
    lists.create(name="partners", is_collection=True, tlp_ceiling="amber")
    follow_lists(own)
    (described,) = taxii.get("collections/").json()["collections"]
    assert described["title"] == "partners"
    assert described["can_write"] is False
    assert patterns(current(taxii, described["id"])) == [pattern(1)]
    follow_lists(own)
    assert len(taxii.get("collections/").json()["collections"]) == 1


def test_a_list_that_is_deleted_takes_everything_back(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    lists.see(address(1), address(2))
    shared = lists.create()
    collection = add_collection(taxii, shared["id"])
    follow_lists(own)
    assert taxii.http.delete(f"/v1/lists/{shared['id']}").status_code == 204
    assert follow_lists(own) == {collection: 2}
    assert len(patterns(current(taxii, collection), revoked=True)) == 2
    assert follow_lists(own) == {}


def test_a_list_of_another_tenant_fills_nothing(
    lists: Lists, client_for: ClientFor, own: Database
) -> None:
    shared = lists.create()
    stranger = client_for("observables", tenant="globex")
    for list_id in (shared["id"], str(uuid4())):
        body = {"title": "stolen", "list_id": list_id}
        answer = stranger.post("/v1/collections", json=body)
        assert answer.status_code == 422
        assert answer.json()["field"] == "list_id"


def test_clients_do_not_write_into_what_a_list_fills(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    lists.see(address(1))
    collection = add_collection(taxii, lists.create()["id"])
    follow_lists(own)
    (entry,) = current(taxii, collection)
    assert taxii.post(collection, {"objects": [entry]}).status_code == 403
    path = f"/taxii2/acme/collections/{collection}/objects/{entry['id']}/"
    assert taxii.http.delete(path).status_code == 403


def plant(own: Database, list_id: str, rows: list[tuple[int, str, str]]) -> None:
    """Write changes of a list: number, direction, value."""
    insert = sa.text(
        "INSERT INTO list_change (tenant, list_id, number, changed_at, observable_id, type, value, "
        "kind, score, reason) VALUES ('acme', :list, :number, :at, :observable, 'ipv4-addr', "
        ":value, :kind, 70, '')"
    )
    publish = sa.text(
        "UPDATE dissemination_list SET last_change_number = :number, published_number = :number "
        "WHERE id = :list"
    )
    with own.transaction("acme") as session:
        values = [
            {
                "list": UUID(list_id),
                "number": number,
                "at": datetime.now(UTC),
                "observable": uuid5(UUID(int=1), value),
                "value": value,
                "kind": kind,
            }
            for number, kind, value in rows
        ]
        session.execute(insert, values)
        session.execute(publish, {"list": UUID(list_id), "number": rows[-1][0]})


def history(count: int, seed: int) -> tuple[list[tuple[int, str, str]], set[str]]:
    """Random changes of a list, and who is a member after them."""
    chance = random.Random(seed)  # noqa: S311  # test data
    members: set[str] = set()
    rows = []
    for number in range(1, count + 1):
        value = f"198.51.100.{chance.randrange(40)}"
        rows.append((number, "out" if value in members else "in", value))
        members ^= {value}
    return rows, members


@pytest.mark.parametrize("seed", range(3))
def test_a_random_history_leaves_exactly_the_members_and_nothing_is_revived(
    lists: Lists, taxii: TaxiiClient, own: Database, seed: int
) -> None:
    shared = lists.create()
    collection = add_collection(taxii, shared["id"])
    rows, members = history(PIECE + 700, seed)
    cut = len(rows) * (seed + 1) // 4
    plant(own, shared["id"], rows[:cut])
    follow_list(own, "acme", UUID(collection))
    plant(own, shared["id"], rows[cut:])
    follow_list(own, "acme", UUID(collection))
    valid = patterns(current(taxii, collection))
    assert sorted(valid) == sorted(f"[ipv4-addr:value = '{value}']" for value in members)
    versions: dict[str, list[bool]] = {}
    for entry in current(taxii, collection, **{"match[version]": "all"}):
        versions.setdefault(entry["id"], []).append(entry.get("revoked", False))
    assert all(states in ([False], [False, True]) for states in versions.values())
    assert sum(map(len, versions.values())) == len(rows)


KILLED = """
import os, signal, sys
from uuid import UUID
from services.observables.taxii import list_writer
from services.observables.taxii.repository import collections
from shared.database import Database

change, pieces = collections.change_collection, 0
def change_and_die(*arguments):
    global pieces
    pieces += 1
    row = change(*arguments)
    if pieces == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return row
collections.change_collection = change_and_die
database = Database(os.environ["DATABASE_URL"], "observables")
list_writer.follow_list(database, "acme", UUID(sys.argv[1]))
"""


def test_a_writer_that_is_killed_is_followed_by_one_that_repeats_nothing(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    shared = lists.create()
    collection = add_collection(taxii, shared["id"])
    rows = [(number, "in", f"2001:db8::{number:x}") for number in range(1, 3 * PIECE)]
    plant(own, shared["id"], rows)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, collection], env=os.environ, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    with own.transaction("acme") as session:
        count = session.scalar(sa.text("SELECT count(*) FROM collection_object"))
    assert count == PIECE
    follow_lists(own)
    ids = [entry["id"] for entry in current(taxii, collection, limit=10_000)]
    assert len(ids) == len(set(ids)) == len(rows)


def test_a_collection_of_an_old_list_begins_with_its_members(
    lists: Lists, taxii: TaxiiClient, own: Database
) -> None:
    lists.see(*(address(number) for number in range(20)))
    shared = lists.create()
    first = add_collection(taxii, shared["id"], "first")
    follow_lists(own)
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM list_change WHERE number < 15"))
    late = add_collection(taxii, shared["id"], "late")
    follow_lists(own)
    assert sorted(patterns(current(taxii, late))) == sorted(patterns(current(taxii, first)))
    assert len(patterns(current(taxii, late))) == 20

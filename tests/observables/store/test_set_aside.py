"""A row that upkeep cannot work on is set aside with its reason, and all others are done."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.observables.backfill import attack_ids, contexts
from services.observables.backfill.repository import StoredContext
from services.observables.store import set_aside
from services.observables.store.due_scores import check_due
from services.observables.store.set_aside import apply_isolated
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unavailable
from shared.events.feeds import Indicator
from shared.stix.ids import observable_id
from tests.observables.conftest import changes, chunk, handle

ADDRESSES = [f"45.77.1.{number}" for number in range(40)]
BAD = observable_id("ipv4-addr", ADDRESSES[17])


def failed_rows(own: Database) -> list[tuple[str, str, int]]:
    with own.transaction(PLATFORM) as session:
        rows = session.execute(
            sa.text("SELECT observable_id::text, work, failures FROM failed_row ORDER BY work")
        )
        return [tuple(row) for row in rows]


def spoil(own: Database, column: str, value: str) -> None:
    """Give one row a value that no code wrote."""
    with own.transaction("acme") as session:
        statement = sa.text(f"UPDATE observable SET {column} = :value WHERE id::text = :id")
        session.execute(statement, {"value": value, "id": BAD})


def test_a_score_that_cannot_be_computed_holds_no_other_up(own: Database) -> None:
    ends = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    lapsed = [Indicator("ipv4-addr", value, valid_until=ends) for value in ADDRESSES]
    handle(own, chunk(*lapsed, at=(datetime.now(UTC) - timedelta(hours=1)).isoformat()))
    changes(own)
    spoil(own, "type", "carrier-pigeon")
    report = check_due(own)
    assert (report.computed, report.published) == (len(ADDRESSES), len(ADDRESSES) - 1)
    assert {value for value, *_ in changes(own)} == {*ADDRESSES} - {ADDRESSES[17]}
    assert failed_rows(own) == [(BAD, "check_due", 1)]
    # It is not due again at once, and later it fails alone.
    assert check_due(own).computed == 0
    with own.transaction("acme") as session:
        session.execute(sa.text("UPDATE observable SET due_at = now() WHERE due_at IS NOT NULL"))
    assert check_due(own).computed == 1
    assert failed_rows(own) == [(BAD, "check_due", 2)]


def test_a_row_that_cannot_be_described_holds_no_other_up(own: Database) -> None:
    handle(own, chunk(*(Indicator("ipv4-addr", value) for value in ADDRESSES)))
    with own.transaction("acme") as session:
        session.execute(sa.text("""UPDATE observable SET context = '{"hint": {}}'"""))
        rows = session.execute(sa.text("SELECT tenant, id::text, type, value FROM observable"))
        stored = [StoredContext(*row, '{"hint": {}}') for row in rows]
    broken = [row._replace(context="{") if row.id == BAD else row for row in stored]
    assert contexts._describe(own, "acme", broken, "new data") == len(ADDRESSES) - 1
    assert failed_rows(own) == [(BAD, "describe", 1)]


def test_a_row_that_cannot_be_mapped_holds_no_other_up(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle(own, chunk(*(Indicator("ipv4-addr", value) for value in ADDRESSES)))
    changes(own)
    spoil(own, "type", "carrier-pigeon")
    monkeypatch.setattr(attack_ids.current_index, "attack_ids", lambda *_: ("T1059",))
    ids = [observable_id("ipv4-addr", value) for value in ADDRESSES]
    assert attack_ids._remap(own, "acme", ids, "index") == len(ADDRESSES) - 1
    assert len(changes(own)) == len(ADDRESSES) - 1
    assert failed_rows(own) == [(BAD, "map", 1)]


@pytest.mark.parametrize(
    ("error", "is_of_rows"),
    [
        (InvalidInput("An event is too large."), True),
        (KeyError("carrier-pigeon"), True),
        (psycopg.errors.NumericValueOutOfRange(), True),
        (psycopg.errors.CheckViolation(), True),
        (psycopg.errors.UndefinedColumn(), False),
        (psycopg.errors.DiskFull(), False),
        (psycopg.errors.ReadOnlySqlTransaction(), False),
        (psycopg.OperationalError("the connection is lost"), False),
        (Unavailable("The database does not answer."), False),
        (OSError("no space left"), False),
    ],
)
def test_only_errors_of_rows_are_put_on_rows(error: Exception, is_of_rows: bool) -> None:
    assert set_aside._blames_rows(error) is is_of_rows


def test_what_is_no_rows_fault_is_raised_and_changes_nothing(own: Database) -> None:
    def work(session: Session, ids: object) -> int:
        session.execute(sa.text("SELECT no_such_column FROM observable"))
        return 1

    with pytest.raises(sa.exc.ProgrammingError):
        apply_isolated(own, "acme", [BAD], "test", work)
    assert failed_rows(own) == []

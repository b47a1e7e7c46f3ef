"""Only a value that cannot be stored is a record's fault."""

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolEmpty

from shared.database import blames_record, is_transient


@pytest.mark.parametrize(
    "sqlstate",
    [
        *("25006", "25P03", "57P01", "57P02", "57P03", "57014", "53100", "53200", "53300"),
        *("58030", "58P01", "08000", "08006", "40001", "40P01", "55P03", "55006"),
    ],
)
def test_the_platforms_faults_pass(sqlstate: str) -> None:
    error = errors.lookup(sqlstate)("?")
    assert is_transient(error)
    assert is_transient(DBAPIError("SELECT 1", {}, error))
    assert not blames_record(error)
    assert not blames_record(DBAPIError("SELECT 1", {}, error))


@pytest.mark.parametrize(
    "sqlstate", ["42P01", "42703", "42501", "42601", "23502", "0A000", "XX000"]
)
def test_what_another_version_may_mend_is_not_the_records_fault(sqlstate: str) -> None:
    error = errors.lookup(sqlstate)("?")
    assert not is_transient(error)
    assert not blames_record(error)
    assert not blames_record(DBAPIError("SELECT 1", {}, error))


@pytest.mark.parametrize(
    "sqlstate", ["22001", "22003", "22021", "22P02", "22P05", "23514", "54000"]
)
def test_a_value_that_cannot_be_stored_is_the_records_fault(sqlstate: str) -> None:
    error = errors.lookup(sqlstate)("?")
    assert blames_record(error)
    assert blames_record(DBAPIError("SELECT 1", {}, error))
    assert not is_transient(error)


def test_errors_without_a_sqlstate() -> None:
    assert is_transient(psycopg.OperationalError("the connection is lost"))
    assert not blames_record(psycopg.OperationalError("the connection is lost"))
    assert not blames_record(psycopg.ProgrammingError("3 placeholders, 2 parameters"))
    assert blames_record(psycopg.DataError("PostgreSQL text fields cannot contain NUL bytes"))
    assert is_transient(PoolEmpty("no connection"))
    assert not blames_record(PoolEmpty("no connection"))
    assert blames_record(KeyError("a handler's bug"))
    assert not is_transient(KeyError("a handler's bug"))


def test_a_row_of_another_tenant_is_the_records_fault() -> None:
    refused = "new row violates row-level security policy for table"
    assert blames_record(errors.InsufficientPrivilege(refused))

"""The SQL condition selects what the function matches, in PostgreSQL itself."""

from collections.abc import Iterator, Sequence

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from shared.filters.filter import parse_filter
from shared.filters.sql import SqlColumns
from shared.settings import Settings
from tests.shared.filters.sample_model import ENVIRONMENT, MODEL, FilterMaker, Subject

_NAMES = [field.attributes[0] for field in MODEL.fields.values()]
TABLE = sa.Table(
    "filtered",
    sa.MetaData(),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("type", sa.Text),
    sa.Column("value", sa.Text),
    sa.Column("malware", sa.Text),
    sa.Column("tags", pg.ARRAY(sa.Text)),
    sa.Column("ports", pg.ARRAY(sa.BigInteger)),
    sa.Column("own", sa.Boolean),
    sa.Column("listed", sa.Boolean),
    sa.Column("first_seen", sa.DateTime(timezone=True)),
    sa.Column("last_seen", sa.DateTime(timezone=True)),
    sa.Column("score", sa.BigInteger),
    sa.Column("score_before", sa.BigInteger),
    sa.Column("weight", sa.Double),
    sa.Column("address", pg.INET),
    prefixes=["TEMPORARY"],
)
COLUMNS = SqlColumns(
    {field.path: TABLE.c[field.attributes[0]] for field in MODEL.fields.values()},
    {"observable.value": TABLE.c.address},
)
_ADDRESSES = {"192.0.2.7", "2001:db8::1", "192.0.2.0/25"}


@pytest.fixture
def connection(environment: Settings) -> Iterator[sa.Connection]:
    address = environment.database_url.get_secret_value()
    engine = sa.create_engine(address.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        TABLE.create(connection)
        yield connection
    engine.dispose()


def store(connection: sa.Connection, subjects: Sequence[Subject]) -> None:
    rows = []
    for number, subject in enumerate(subjects):
        row = {name: getattr(subject, name) for name in _NAMES}
        address = subject.value if subject.value in _ADDRESSES else None
        lists = {"tags": list(subject.tags), "ports": list(subject.ports)}
        rows.append({**row, **lists, "number": number, "address": address})
    connection.execute(TABLE.insert(), rows)


def selected(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> set[int]:
    # A condition that is NULL anywhere would be missing in both.
    statement = sa.select(TABLE.c.number).where(condition)
    opposite = sa.select(TABLE.c.number).where(sa.not_(condition))
    numbers = set(connection.scalars(statement))
    assert numbers.isdisjoint(others := set(connection.scalars(opposite)))
    total = connection.scalar(sa.select(sa.func.count()).select_from(TABLE))
    assert len(numbers) + len(others) == total
    return numbers


def test_sql_selects_what_the_function_matches(connection: sa.Connection) -> None:
    maker = FilterMaker(11)
    subjects = [maker.subject() for _ in range(200)]
    store(connection, subjects)
    for _ in range(400):
        filter_ = parse_filter(maker.condition(), MODEL)
        sql = filter_.sql(COLUMNS, ENVIRONMENT)
        expected = {
            number
            for number, subject in enumerate(subjects)
            if filter_.matches(subject, ENVIRONMENT)
        }
        assert sql.is_exact
        assert selected(connection, sql.condition) == expected, filter_.text


@pytest.mark.parametrize(
    "text",
    [
        'observable.value.matches("^www")',
        'observable.malware.matches("o") && change.score == 50',
        'observable.value.under("example.com")',
        'observable.value in watchlist("ours")',
        'observable.own || observable.value in watchlist("ours")',
        'observable.tags.exists(tag, tag.matches("u"))',
        '!observable.tags.all(tag, tag.under("example.com"))',
        'cidr("192.0.2.0/24").containsIP(observable.malware)',
    ],
)
def test_what_sql_cannot_say_is_widened_and_never_narrowed(
    connection: sa.Connection, text: str
) -> None:
    maker = FilterMaker(12)
    subjects = [maker.subject() for _ in range(300)]
    store(connection, subjects)
    for filter_ in (parse_filter(text, MODEL), parse_filter(f"!({text})", MODEL)):
        sql = filter_.sql(COLUMNS, ENVIRONMENT)
        assert not sql.is_exact
        passed = selected(connection, sql.condition)
        matching = {
            number
            for number, subject in enumerate(subjects)
            if filter_.matches(subject, ENVIRONMENT)
        }
        assert matching <= passed


def test_networks_are_exact_where_addresses_are_stored(connection: sa.Connection) -> None:
    values = ("192.0.2.7", "192.0.2.0/25", "198.51.100.1", "2001:db8::1", "www.example.com")
    store(connection, [Subject(value=value) for value in values])
    filter_ = parse_filter('cidr("192.0.2.0/24").containsIP(observable.value)', MODEL)
    sql = filter_.sql(COLUMNS, ENVIRONMENT)
    assert sql.is_exact
    assert selected(connection, sql.condition) == {0, 1}


def test_a_field_that_is_stored_nowhere_widens(connection: sa.Connection) -> None:
    store(connection, [Subject(own=True), Subject(own=False)])
    columns = SqlColumns({"observable.own": TABLE.c.own}, {})
    filter_ = parse_filter("observable.own && change.score > size(observable.tags)", MODEL)
    sql = filter_.sql(columns, ENVIRONMENT)
    assert not sql.is_exact
    assert selected(connection, sql.condition) == {0}

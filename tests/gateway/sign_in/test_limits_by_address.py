"""Wrong sign-ins count for the address that they come from, whatever accounts they are for."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import psycopg
import pyotp
import pytest

from services.gateway.credentials.guesses import MAX_OF_ADDRESS, MAX_OF_STRANGERS, counted_attempt
from services.gateway.sign_in.repository import has_signed_in
from shared.database import PLATFORM, Database
from shared.errors import RateExceeded
from shared.settings import Settings
from tests.gateway.conftest import Browser

OWN = "testclient"
"""The address of browsers in this process."""


@pytest.fixture
def execute(environment: Settings) -> Callable[..., None]:
    """Changes rows as the owner of the database."""
    url = environment.database_url.get_secret_value()

    def run(statement: str, *values: object) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET sentineliq.tenant = '*'")
            connection.execute(statement.encode(), values)

    return run


@pytest.fixture
def database(environment: Settings, execute: Callable[..., None]) -> Iterator[Database]:
    execute("DELETE FROM gateway.guess")
    own = Database(environment.database_url.get_secret_value(), "gateway")
    yield own
    own.close()


def attempt(database: Database, address: str, *, is_right: bool = False) -> None:
    with counted_attempt(database, address, has_signed_in) as guess:
        guess.is_right = is_right


def new_login() -> str:
    return f"p{uuid4().hex[:10]}@acme.example"


def test_few_guesses_at_many_accounts_end_for_the_address(
    database: Database,
    person: Callable[..., Browser],
    browser_for: Callable[[], Browser],
) -> None:
    login = new_login()
    person(login)
    for _ in range(MAX_OF_ADDRESS - 3):
        attempt(database, OWN)
    browser = browser_for()
    assert browser.sign_in(login).status_code == 200
    wrong = [browser.sign_in(new_login(), "a wrong password") for _ in range(4)]
    assert [answer.status_code for answer in wrong] == [401, 401, 401, 429]
    assert 3000 < int(wrong[-1].headers["retry-after"]) <= 3600
    assert "from this address" in wrong[-1].json()["title"]
    assert browser.sign_in(login).status_code == 429
    attempt(database, "203.0.113.9")


def test_right_sign_ins_of_an_office_do_not_count(database: Database) -> None:
    for _ in range(MAX_OF_ADDRESS + 5):
        attempt(database, "203.0.113.9", is_right=True)


def test_a_right_password_without_its_code_is_no_wrong_guess(
    database: Database, person: Callable[..., Browser], browser_for: Callable[[], Browser]
) -> None:
    login = new_login()
    browser = person(login)
    created = browser.post("/v1/account/one-time-codes").json()
    code = pyotp.TOTP(created["secret"]).now()
    confirmed = browser.post("/v1/account/one-time-codes/confirm", {"code": code})
    assert confirmed.status_code == 200, confirmed.text
    for _ in range(MAX_OF_ADDRESS - 1):
        attempt(database, OWN)
    for _ in range(3):
        answer = browser_for().sign_in(login)
        assert answer.json()["type"].endswith("second-factor-required")
    assert browser_for().sign_in(login, code="000000").status_code == 401
    assert browser_for().sign_in(login, code="000000").status_code == 429


def test_a_host_has_all_addresses_of_its_network(database: Database) -> None:
    for number in range(MAX_OF_ADDRESS):
        attempt(database, f"2001:db8::{number:x}")
    with pytest.raises(RateExceeded):
        attempt(database, "2001:db8::abcd")
    attempt(database, "2001:db8:0:1::abcd")


def test_a_process_that_ends_within_an_attempt_leaves_it_counted(database: Database) -> None:
    for _ in range(MAX_OF_ADDRESS):
        with pytest.raises(KeyboardInterrupt), counted_attempt(database, "::1", has_signed_in):
            raise KeyboardInterrupt
    with pytest.raises(RateExceeded):
        attempt(database, "::1")


def test_strangers_together_end_and_offices_go_on(
    database: Database, person: Callable[..., Browser], execute: Callable[..., None]
) -> None:
    login = new_login()
    person(login)  # from OWN
    execute(
        "INSERT INTO gateway.session (id, tenant, digest, person_id, kind, methods, address, "
        "agent, expires_at) SELECT gen_random_uuid(), '*', sha256('x'), id, 'browser', '{}', "
        "'2001:db8::5', '', now() FROM gateway.person WHERE login = %s",
        login,
    )
    attempt(database, "198.51.100.1")
    execute(
        "INSERT INTO gateway.guess (tenant, subject, guessed_at) "
        "SELECT '*', sha256('all addresses'), now() FROM generate_series(2, %s)",
        MAX_OF_STRANGERS,
    )
    for stranger in ("198.51.100.2", "2001:db8:0:1::5", "elsewhere", ""):
        with pytest.raises(RateExceeded, match="nobody has signed in") as refusal:
            attempt(database, stranger)
        assert refusal.value.retry_after is not None
        assert 3000 < refusal.value.retry_after <= 3600
    attempt(database, OWN)
    attempt(database, "2001:db8::6")
    with database.transaction(PLATFORM) as session:
        assert not has_signed_in(session, "198.51.100.1")

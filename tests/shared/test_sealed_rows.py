"""Stored secrets are sealed anew in batches, and open all the time."""

import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from pydantic import SecretStr

from services.feeds.subscriptions.repository import CREDENTIALS
from shared import sealed_rows
from shared.crypto import Sealer, places_of
from shared.database import PLATFORM, Database
from shared.keys import FEED_CREDENTIALS, DerivedKeys
from shared.sealed_rows import reseal_rows
from shared.settings import Settings

BEFORE = DerivedKeys(SecretStr("one-secret-key-of-more-than-thirty-two-characters"))
NEW = SecretStr("another-secret-of-more-than-thirty-two-characters")
AFTER = DerivedKeys(NEW, BEFORE.secret(FEED_CREDENTIALS), since=time.time())
ALONE = Sealer(DerivedKeys(NEW, since=time.time()), FEED_CREDENTIALS)
INSERT = sa.text(
    "INSERT INTO feed (tenant, id, name, url, secret, created_by, format, options, confidence, "
    "reliability, tlp, tags, enabled, auth) VALUES (:tenant, :id, :name, :url, :secret, 'kim', "
    "'text', '{}', 50, 'B', 'clear', '{}', true, '{\"kind\": \"bearer\"}')"
)
ORIGIN = "https://paid.example.com"


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    own = Database(environment.database_url.get_secret_value(), "feeds")
    yield own
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM feed"))
    own.close()


def insert(own: Database, sealed: dict[UUID, bytes]) -> None:
    for feed_id, secret in sealed.items():
        with own.transaction("acme") as session:
            values = {"tenant": "acme", "url": f"{ORIGIN}/list", "secret": secret}
            session.execute(INSERT, {**values, "id": feed_id, "name": str(feed_id)})


def stored(own: Database) -> dict[UUID, bytes]:
    with own.transaction(PLATFORM) as session:
        rows = session.execute(sa.text("SELECT id, secret FROM feed WHERE secret IS NOT NULL"))
        return {row.id: bytes(row.secret) for row in rows}


def test_all_is_sealed_under_the_present_key_in_several_batches(
    own: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed_rows, "_BATCH", 3)
    former = Sealer(BEFORE, FEED_CREDENTIALS)
    insert(own, {i: former.seal_at(f"secret {i}", str(i), ORIGIN) for i in map(_id, range(7))})
    insert(own, {i: former.seal(f"secret {i}", str(i)) for i in map(_id, range(7, 9))})
    assert reseal_rows(own, Sealer(AFTER, FEED_CREDENTIALS), CREDENTIALS) == 9
    sealed = stored(own)
    assert len(sealed) == 9
    for feed_id, secret in sealed.items():
        assert ALONE.open_at(secret, str(feed_id), ORIGIN) == f"secret {feed_id}"
    assert reseal_rows(own, Sealer(AFTER, FEED_CREDENTIALS), CREDENTIALS) == 0
    assert stored(own) == sealed


def test_what_does_not_open_stays_and_keeps_no_other_from_it(own: Database) -> None:
    stranger = Sealer(DerivedKeys(SecretStr("x" * 40)), FEED_CREDENTIALS)
    lost = uuid4()
    fine = uuid4()
    insert(own, {lost: stranger.seal_at("lost", str(lost), ORIGIN)})
    insert(own, {fine: Sealer(BEFORE, FEED_CREDENTIALS).seal_at("fine", str(fine), ORIGIN)})
    before = stored(own)
    assert reseal_rows(own, Sealer(AFTER, FEED_CREDENTIALS), CREDENTIALS) == 1
    after = stored(own)
    assert after[lost] == before[lost]
    assert ALONE.open_at(after[fine], str(fine), ORIGIN) == "fine"


def test_without_a_former_key_nothing_is_looked_at(own: Database) -> None:
    broken = replace(CREDENTIALS, column="no_such_column")
    assert reseal_rows(own, Sealer(BEFORE, FEED_CREDENTIALS), broken) == 0


def test_places_are_those_of_this_version_and_the_one_before() -> None:
    sealer = Sealer(BEFORE, FEED_CREDENTIALS)
    places = places_of("row", ORIGIN)
    assert sealer.open(sealer.seal_at("x", "row", ORIGIN), places[0]) == "x"
    assert sealer.open(sealer.seal("x", "row"), places[1]) == "x"


def _id(number: int) -> UUID:
    return UUID(int=number + 1)

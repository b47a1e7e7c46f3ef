"""Pushes as a tenant configures them."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from starlette.testclient import TestClient

from services.observables.pushes import service
from services.observables.pushes.secrets import unseal
from services.observables.pushes.targets.registry import push_target_named
from services.observables.quotas.limits import QUOTAS
from shared.crypto import UnsealError
from shared.database import PLATFORM, Database
from shared.keys import PROVIDER_KEYS, DerivedKeys, keys_of
from shared.quotas import quota_named, set_limit
from shared.settings import Settings
from tests.observables.pushes.conftest import Pushes
from tests.observables.taxii.conftest import TaxiiClient, append

ClientFor = Callable[..., TestClient]
URL = "http://127.0.0.1:9/root/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116/"
ELSEWHERE = URL.replace(":9/", ":7/")
NEW_SECRET = SecretStr("another-secret-of-more-than-thirty-two-characters")
SECRETS = {"username": "ours", "password": "SECRET"}


def push_body(collection: str, **fields: Any) -> dict[str, Any]:
    body = {"name": "partner", "collection_id": collection, "kind": "taxii"}
    return {**body, "config": {"url": URL}, "credentials": SECRETS, **fields}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"kind": "carrier-pigeon"}, "kind"),
        ({"config": {}}, "config.url"),
        ({"config": {"url": "http://127.0.0.1:9/root/"}}, "config.url"),
        ({"config": {"url": URL, "colour": "red"}}, "config.colour"),
        ({"config": {"url": "ftp://127.0.0.1/a/collections/b/"}}, "config.url"),
        ({"config": {"url": "http://169.254.169.254/a/collections/b/"}}, "config.url"),
        ({"credentials": {"username": "alone"}}, "credentials"),
        ({"credentials": {"token": "x", **SECRETS}}, "credentials"),
        ({"kind": "kafka", "config": {"servers": "nowhere", "topic": "t"}}, "config.servers"),
        ({"kind": "kafka", "config": {"servers": "127.0.0.1:9", "topic": "a b"}}, "config.topic"),
        ({"kind": "kafka", "config": {"servers": "169.254.169.254:9092", "topic": "t"}},
         "config.servers"),
        ({"collection_id": str(uuid4())}, "collection_id"),
    ],
)  # fmt: skip
def test_what_cannot_be_pushed_is_refused(
    pushes: Pushes, collection: str, fields: dict[str, Any], field: str
) -> None:
    answer = pushes.http.post("/v1/pushes", json=push_body(collection, **fields))
    assert answer.status_code == 422, answer.text
    assert answer.json()["field"] == field
    assert pushes.http.get("/v1/pushes").json() == []


def test_what_is_for_its_readers_alone_is_not_pushed(pushes: Pushes, taxii: TaxiiClient) -> None:
    strict = taxii.create("strict", tlp="red")
    answer = pushes.http.post("/v1/pushes", json=push_body(strict))
    assert answer.status_code == 422
    assert answer.json()["field"] == "collection_id"


def test_a_push_is_of_one_tenant(pushes: Pushes, collection: str, client_for: ClientFor) -> None:
    push = pushes.add(**push_body(collection))
    stranger = client_for("observables", tenant="globex")
    assert stranger.get("/v1/pushes").json() == []
    path = f"/v1/pushes/{push['id']}"
    for answer in (
        stranger.get(path),
        stranger.patch(path, json={"enabled": False}),
        stranger.delete(path),
    ):
        assert answer.status_code == 404
    answer = stranger.post("/v1/pushes", json=push_body(collection))
    assert answer.json()["field"] == "collection_id"
    assert pushes.show(push)["enabled"]
    twice = pushes.http.post("/v1/pushes", json=push_body(collection))
    assert twice.status_code == 409


def stored(own: Database, push: dict[str, Any]) -> Any:
    with own.transaction(PLATFORM) as session:
        return session.execute(
            sa.text("SELECT * FROM push WHERE id = :id"), {"id": push["id"]}
        ).one()


def test_credentials_open_for_their_target_alone(
    pushes: Pushes, collection: str, own: Database, environment: Settings
) -> None:
    push = pushes.add(**push_body(collection))
    path = f"/v1/pushes/{push['id']}"
    refused = pushes.http.patch(path, json={"config": {"url": ELSEWHERE}})
    assert refused.status_code == 422
    assert refused.json()["field"] == "credentials"
    row = stored(own, push)
    assert b"SECRET" not in bytes(row.credentials)
    target = push_target_named("taxii")
    keys = keys_of(environment)
    config = target.config(url=URL)
    sealed = bytes(row.credentials)
    assert unseal(keys, row.id, target, config, sealed).password == "SECRET"
    for identity, url in ((row.id, ELSEWHERE), (UUID(int=1), URL)):
        with pytest.raises(UnsealError):
            unseal(keys, identity, target, target.config(url=url), sealed)
    body = {"config": {"url": ELSEWHERE}, "credentials": {"token": "SECRET"}}
    assert pushes.http.patch(path, json=body).status_code == 200
    assert "SECRET" not in pushes.http.get("/v1/audit").text


def test_credentials_are_sealed_anew_after_a_rotation(
    pushes: Pushes,
    collection: str,
    own: Database,
    environment: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    push = pushes.add(**push_body(collection))
    before = bytes(stored(own, push).credentials)
    former = replace(keys_of(environment).secret(PROVIDER_KEYS)[0], until=time.time() + 600)
    keys = DerivedKeys(NEW_SECRET, [former], since=time.time())
    monkeypatch.setattr(service, "keys_of", lambda _settings: keys)
    assert service.reseal_credentials(own) == 1
    assert service.reseal_credentials(own) == 0
    after = bytes(stored(own, push).credentials)
    assert after != before
    target = push_target_named("taxii")
    alone = DerivedKeys(NEW_SECRET, since=keys.secret(PROVIDER_KEYS)[0].since)
    opened = unseal(alone, UUID(push["id"]), target, target.config(url=URL), after)
    assert opened.password == "SECRET"


def test_with_another_target_a_push_begins_anew(
    pushes: Pushes, collection: str, own: Database
) -> None:
    append(own, collection, range(5))
    push = pushes.add(**push_body(collection, credentials=None))
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("UPDATE push SET pushed_number = 5, pushed_added = now()"))
    path = f"/v1/pushes/{push['id']}"
    renamed = pushes.http.patch(path, json={"name": "other", "config": {"url": URL}}).json()
    assert (renamed["name"], renamed["behind"]) == ("other", 0)
    moved = pushes.http.patch(path, json={"config": {"url": ELSEWHERE}}).json()
    assert moved["behind"] == 5


def test_what_is_switched_off_or_deleted_is_not_pushed(
    pushes: Pushes, collection: str, own: Database, hints: Callable[[], list[str]]
) -> None:
    append(own, collection, range(1))
    push = pushes.add(**push_body(collection, enabled=False))
    assert hints() == []
    assert pushes.run(push)["status"] == "skipped"
    pushes.http.patch(f"/v1/pushes/{push['id']}", json={"enabled": True})
    assert hints() == [push["id"]]
    assert pushes.http.delete(f"/v1/collections/{collection}").status_code == 204
    assert pushes.http.get("/v1/pushes").json() == []


def test_pushes_have_a_quota(pushes: Pushes, collection: str, own: Database) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM quota"))
        set_limit(session, "acme", quota_named(QUOTAS, "pushes"), 1, "ops")
    pushes.add(**push_body(collection))
    answer = pushes.http.post("/v1/pushes", json=push_body(collection, name="second"))
    assert answer.status_code == 403, answer.text
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM quota"))

"""Tokens end when they are revoked, in their tenant alone, and are listed once they were used."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from shared.auth import issue_token, verify_token
from shared.database import PLATFORM, Database
from shared.errors import Unauthenticated
from shared.keys import keys_of
from shared.settings import Settings
from shared.token_registry import MAX_UNSEEN, TokenRegistry
from shared.tokens import token_id

ClientFor = Callable[..., TestClient]
PATH = "/v1/channels"


@pytest.fixture
def own(environment: Settings) -> Iterator[Database]:
    database = Database(environment.database_url.get_secret_value(), "notifications")
    with database.transaction(PLATFORM) as session:
        session.execute(sa.text("DELETE FROM token"))
    yield database
    database.close()


def status(client: TestClient, token: str) -> int:
    return client.get(PATH, headers={"Authorization": f"Bearer {token}"}).status_code


def until(client: TestClient, token: str, expected: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if status(client, token) == expected:
            return True
        time.sleep(0.1)
    return False


def test_a_revoked_token_ends_within_five_seconds(
    own: Database, client_for: ClientFor, make_token: Callable[..., str]
) -> None:
    admin = client_for("notifications")
    stolen = make_token(actor="lee@acme.example")
    assert status(admin, stolen) == 200
    assert admin.post(f"/v1/tokens/{token_id(stolen)}/revoke").status_code == 204
    assert until(admin, stolen, 401, 5)
    answer = admin.get(PATH, headers={"Authorization": f"Bearer {stolen}"})
    assert answer.json()["title"] == "The token was revoked."
    assert admin.get(PATH).status_code == 200
    # Another process, which starts later, knows it as well.
    assert until(client_for("notifications"), stolen, 401, 5)


def test_an_admin_ends_no_token_of_another_tenant_and_an_operator_ends_all(
    own: Database, client_for: ClientFor, make_token: Callable[..., str], environment: Settings
) -> None:
    foreign = make_token("globex", "admin")
    registry = TokenRegistry(own)
    principal = verify_token(keys_of(environment), foreign)
    path = f"/v1/tokens/{token_id(foreign)}/revoke"
    assert client_for("notifications").post(path).status_code == 204
    registry.read()
    registry.check(principal)
    assert client_for("notifications", role="operator").post(path).status_code == 204
    registry.read()
    with pytest.raises(Unauthenticated, match="revoked"):
        registry.check(principal)


def test_tokens_are_listed_once_they_were_used(
    own: Database, client_for: ClientFor, environment: Settings
) -> None:
    def issue(hours: float, actor: str, tenant: str = "acme") -> str:
        lifetime = timedelta(hours=hours)
        key = environment.secret_key
        assert key is not None
        return issue_token(key, actor=actor, tenant=tenant, role="viewer", lifetime=lifetime)

    registry = TokenRegistry(own)
    tokens = [issue(2, "lee"), issue(0.5, "cli"), issue(2, "other", "globex")]
    for token in tokens:
        registry.check(verify_token(keys_of(environment), token))
    registry.write()
    registry.write()

    def listed(role: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        after = None
        while True:
            client = client_for("notifications", role=role)
            params = {"limit": 1} if after is None else {"limit": 1, "after": after}
            page = client.get("/v1/tokens", params=params).json()
            items += page["items"]
            after = page["next"]
            if after is None:
                return items

    (token,) = [item for item in listed("admin") if item["actor"] == "lee"]
    assert token["id"] == token_id(tokens[0])
    assert (token["tenant"], token["role"], token["revoked_at"]) == ("acme", "viewer", None)
    assert {item["actor"] for item in listed("admin")} == {"lee"}
    assert {item["actor"] for item in listed("operator")} == {"lee", "other"}
    assert client_for("notifications", role="analyst").get("/v1/tokens").status_code == 403


def test_a_revoked_token_that_is_seen_again_stays_revoked(
    own: Database, client_for: ClientFor, make_token: Callable[..., str], environment: Settings
) -> None:
    token = make_token()
    principal = verify_token(keys_of(environment), token)
    registry = TokenRegistry(own)
    registry.check(principal)
    client_for("notifications").post(f"/v1/tokens/{token_id(token)}/revoke").raise_for_status()
    registry.write()
    registry.read()
    with pytest.raises(Unauthenticated, match="revoked"):
        registry.check(principal)


def test_revocation_is_audited(own: Database, client_for: ClientFor) -> None:
    client = client_for("notifications")
    client.post(f"/v1/tokens/{'a' * 32}/revoke").raise_for_status()
    page = client.get("/v1/audit", params={"action": "tokens.revoke"}).json()
    assert page["items"][0]["target"] == "a" * 32
    assert "eyJ" not in str(page)  # tokens themselves are in no record


def test_a_tenant_revokes_a_bounded_number_of_tokens_that_nobody_has_used(
    own: Database, client_for: ClientFor, make_token: Callable[..., str], environment: Settings
) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(
            sa.text(
                "INSERT INTO token (tenant, id, expires_at, revoked_at, revoked_by) "
                "SELECT 'acme', lpad(to_hex(n), 32, '0'), now() + interval '1 day', now(), 'flood' "
                "FROM generate_series(1, :most) n"
            ),
            {"most": MAX_UNSEEN},
        )
    admin = client_for("notifications")
    refusal = admin.post(f"/v1/tokens/{'0' * 32}/revoke")
    assert refusal.status_code == 403
    assert refusal.json()["type"].endswith("quota-exceeded")
    # What is stored may be revoked again, and so may what was used here.
    used = make_token(actor="lee@acme.example")
    assert admin.post(f"/v1/tokens/{'0' * 31}1/revoke").status_code == 204
    registry = TokenRegistry(own)
    registry.check(verify_token(keys_of(environment), used))
    registry.write()
    assert admin.post(f"/v1/tokens/{token_id(used)}/revoke").status_code == 204
    # Another tenant has as many.
    other = client_for("notifications", tenant="globex")
    assert other.post(f"/v1/tokens/{'1' * 32}/revoke").status_code == 204


def test_what_is_committed_late_is_read_and_what_was_read_is_not_read_again(
    own: Database, make_token: Callable[..., str], environment: Settings
) -> None:
    early = make_token(actor="a@acme.example")
    late = make_token(actor="b@acme.example")
    registry = TokenRegistry(own)

    def revoke(token: str, age: str) -> None:
        with own.transaction(PLATFORM) as session:
            session.execute(
                sa.text(
                    "INSERT INTO token (tenant, id, expires_at, revoked_at, revoked_by) "
                    "VALUES ('acme', :id, now() + interval '1 day', now() - :age ::interval, 'x')"
                ),
                {"id": token_id(token), "age": age},
            )

    revoke(early, "1 hour")
    registry.read()
    # Its transaction began before the first read, and ends after it.
    revoke(late, "20 seconds")
    queries: list[str] = []
    with own.transaction(PLATFORM) as session:
        engine = session.get_bind()
    sa.event.listen(engine, "before_cursor_execute", lambda *call: queries.append(call[2]))
    registry.read()
    for token in (early, late):
        with pytest.raises(Unauthenticated, match="revoked"):
            registry.check(verify_token(keys_of(environment), token))
    assert "revoked_at >" in queries[-1]

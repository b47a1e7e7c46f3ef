"""What the gateway revokes ends in every service: by the topic, and without it by its rows."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from uuid import uuid4

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.feeds.runs.repository import claims
from shared.auth import Principal, Role, TokenFacts, verify_token
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, Unauthenticated
from shared.events import Event
from shared.events.gateway import REVOKED, RevocationKind, Revoked
from shared.frozen_tenants import is_tenant_frozen
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.relay import Relay
from shared.keys import keys_of
from shared.revocations import apply_revocations, revoke
from shared.service_names import SERVICES
from shared.settings import Settings
from shared.tenants import PUBLIC
from shared.token_registry import TokenRegistry, list_tokens
from shared.tokens import token_id

MakeToken = Callable[..., str]


@pytest.fixture
def database_of(environment: Settings) -> Iterator[Callable[[str], Database]]:
    """Opens services' databases, without any token."""
    opened: list[Database] = []

    def open_database(service: str) -> Database:
        database = Database(environment.database_url.get_secret_value(), service)
        opened.append(database)
        with database.transaction(PLATFORM) as session:
            session.execute(sa.text("DELETE FROM token"))
        return database

    yield open_database
    for database in opened:
        database.close()


@pytest.fixture
def gateway(database_of: Callable[[str], Database]) -> Database:
    """The gateway's database."""
    return database_of("gateway")


def new_tenant() -> str:
    return f"t{uuid4().hex[:10]}"


def principal_of(
    tenant: str, actor: str = "kim", role: Role = Role.admin, *, age: float = 60.0, grant: str = ""
) -> Principal:
    now = time.time()
    facts = TokenFacts(uuid4().hex, now - age, now + 600, grant)
    return Principal(actor, tenant, role, facts)


def tell(
    database: Database,
    tenant: str,
    kind: RevocationKind,
    name: str = "",
    *,
    is_lifted: bool = False,
) -> None:
    with database.transaction(PLATFORM) as session:
        revoke(session, "gateway", tenant, kind, name, "root", is_lifted=is_lifted)


def is_refused(registry: TokenRegistry, principal: Principal) -> bool:
    registry.read()
    try:
        registry.check(principal)
    except Unauthenticated:
        return True
    return False


def test_a_frozen_tenant_is_refused_until_it_may_act_again(gateway: Database) -> None:
    registry = TokenRegistry(gateway)
    tenant = new_tenant()
    kim = principal_of(tenant)
    operator = principal_of(tenant, role=Role.operator)
    other = principal_of(new_tenant())
    assert not is_refused(registry, kim)
    tell(gateway, tenant, "tenant")
    assert is_refused(registry, kim)
    assert not is_refused(registry, operator), "who freezes it looks after it as well"
    assert not is_refused(registry, other)
    assert is_refused(TokenRegistry(gateway), kim), "a process that starts later"
    with gateway.transaction(tenant) as session:
        assert is_tenant_frozen(session, tenant)
    tell(gateway, tenant, "tenant", is_lifted=True)
    assert not is_refused(registry, kim)
    with gateway.transaction(tenant) as session:
        assert not is_tenant_frozen(session, tenant)


def test_an_actors_earlier_tokens_end_in_the_tenant_and_later_ones_do_not(
    gateway: Database,
) -> None:
    registry = TokenRegistry(gateway)
    tenant = new_tenant()
    tell(gateway, tenant, "actor", "kim")
    assert is_refused(registry, principal_of(tenant, age=2.0))
    assert not is_refused(registry, principal_of(tenant, age=-1.0))
    assert not is_refused(registry, principal_of(tenant, "lee", age=2.0))
    assert not is_refused(registry, principal_of(new_tenant(), age=2.0))
    # A repeated event of before does not let in what a later one has ended.
    early = Revoked("actor", "kim", "2026-01-01T00:00:00+00:00", "2099-01-01T00:00:00+00:00", "x")
    with gateway.transaction(PLATFORM) as session:
        apply_revocations(session, [Event(REVOKED, early, tenant, "/services/gateway")])
    assert is_refused(registry, principal_of(tenant, age=2.0))


def test_a_grant_ends_all_its_tokens_in_all_tenants(gateway: Database) -> None:
    registry = TokenRegistry(gateway)
    tell(gateway, PUBLIC, "grant", "session:7")
    assert is_refused(registry, principal_of("acme", grant="session:7"))
    assert is_refused(registry, principal_of("globex", grant="session:7"))
    assert not is_refused(registry, principal_of("acme", grant="session:8"))


def test_what_is_no_token_stands_in_no_list_of_tokens(gateway: Database) -> None:
    tenant = new_tenant()
    tell(gateway, tenant, "tenant")
    tell(gateway, tenant, "actor", "kim")
    tell(gateway, PUBLIC, "grant", "session:7")
    tell(gateway, tenant, "token", "a" * 32)
    with gateway.transaction(PLATFORM) as session:
        assert [token.id for token in list_tokens(session, None, 100)] == ["a" * 32]


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("kim", "yesterday"),
        ("kim", ""),
        ("kim", "2026-12-01T00:00:00"),
        ("kim", "9999-12-31T23:59:59-12:00"),
        ("k" * 501, "2026-12-01T00:00:00+00:00"),
    ],
    ids=["no-time", "empty-time", "no-zone", "far-future", "long-name"],
)
def test_a_broken_event_is_refused(gateway: Database, name: str, moment: str) -> None:
    data = Revoked("actor", name, moment, "2026-12-02T00:00:00+00:00", "x")
    with gateway.transaction(PLATFORM) as session, pytest.raises(InvalidInput):
        apply_revocations(session, [Event(REVOKED, data, "acme", "/services/gateway")])


def test_work_of_a_frozen_tenant_waits(
    client_for: Callable[..., TestClient], database_of: Callable[[str], Database]
) -> None:
    feeds = database_of("feeds")
    tenant = new_tenant()
    admin = client_for("feeds", tenant=tenant, role="admin")
    feed = admin.post("/v1/feeds", json={"name": "waiting", "url": "https://example.com/list"})
    assert feed.status_code == 201, feed.text
    assert admin.post(f"/v1/feeds/{feed.json()['id']}/runs").status_code in (200, 202)

    def waits() -> bool:
        with feeds.transaction(PLATFORM) as session:
            return tenant in claims.waiting_tenants(session)

    def learn(*, is_lifted: bool) -> None:
        moment = "2099-01-01T00:00:00+00:00"
        data = Revoked("tenant", "", moment, moment, "root", is_lifted)
        with feeds.transaction(PLATFORM) as session:
            apply_revocations(session, [Event(REVOKED, data, tenant, "/services/gateway")])

    assert waits()
    learn(is_lifted=False)
    assert not waits()
    learn(is_lifted=True)
    assert waits()


def test_every_service_learns_of_it_within_five_seconds(
    settings: Settings,
    gateway: Database,
    database_of: Callable[[str], Database],
    make_token: MakeToken,
) -> None:
    others = {name: database_of(name) for name in SERVICES if name != "gateway"}
    registries = {name: TokenRegistry(database) for name, database in others.items()}
    tenant = new_tenant()
    stolen = verify_token(keys_of(settings), make_token(tenant, actor="lee"))
    frozen = verify_token(keys_of(settings), make_token(new_tenant()))
    assert stolen.token is not None

    def are_refused() -> bool:
        return all(
            is_refused(registry, principal)
            for registry in registries.values()
            for principal in (stolen, frozen)
        )

    async def tell_and_wait() -> float:
        subscription = Subscription(REVOKED, apply_revocations)
        ready = {name: asyncio.Event() for name in others}
        parts = [Relay(gateway, settings).run()]
        parts += [
            Consumer(database, settings, [subscription]).run(ready[name].set)
            for name, database in others.items()
        ]
        tasks = [asyncio.ensure_future(part) for part in parts]
        try:
            async with asyncio.timeout(120):
                for event in ready.values():
                    await event.wait()
                # A group that was just joined gives its partitions out.
                await asyncio.sleep(3.0)
                await asyncio.to_thread(tell, gateway, tenant, "token", token_id_of(stolen))
                await asyncio.to_thread(tell, gateway, frozen.tenant, "tenant")
                begin = time.monotonic()
                while not await asyncio.to_thread(are_refused):
                    await asyncio.sleep(0.1)
                return time.monotonic() - begin
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    assert not are_refused()
    seconds = asyncio.run(tell_and_wait())
    # Processes look every two seconds. The bound is generous: other work may hold the machine.
    assert seconds < 20.0


def test_without_kafka_the_gateway_refuses_by_its_own_rows(
    gateway: Database, make_token: MakeToken, environment: Settings
) -> None:
    """Nothing relays here: what the transaction has stored counts."""
    registry = TokenRegistry(gateway)
    token = make_token("acme", actor=new_tenant())
    principal = verify_token(keys_of(environment), token)
    tell(gateway, "acme", "token", token_id(token))
    assert is_refused(registry, principal)
    with gateway.transaction(PLATFORM) as session:
        waiting = session.execute(
            sa.text("SELECT count(*) FROM outbox WHERE topic = 'gateway.revoked.v1'")
        )
        assert waiting.scalar_one() > 0, "told as soon as Kafka is back"


def token_id_of(principal: Principal) -> str:
    assert principal.token is not None
    return principal.token.id

"""Clients of every role and tenant, and the objects that requests are about."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from starlette.testclient import TestClient

from shared.auth import RoleName
from shared.database import PLATFORM, Database, database
from shared.events import ConsumedRecord
from shared.kafka.offsets import OffsetRow, PartitionKey
from shared.settings import Settings
from tests.effects.people import People

OWNER = "acme"
STRANGER = "globex"
_UNCOUNTED = ("audit", "outbox", "sweep", "token", "alembic_version")
_PARKED = (
    "INSERT INTO {}.outbox (topic, headers, payload, tenant, attempts, parked_at, error) "
    "VALUES ('audit.recorded.v1', '[]', 'x', 'acme', 8, now(), 'refused') RETURNING id"
)
_DELIVERY = (
    "INSERT INTO notifications.delivery (id, tenant, rule_id, channel_id, rule, channel, event_id,"
    " source, state, matches, match_count, event_at) VALUES"
    " (%s, 'acme', %s, %s, 'r', 'c', %s, 'feed', 'failed', '[]', 0, now())"
)
_HOLD = (
    "UPDATE observables.dissemination_list SET state = 'held', held_reason = 'It grew.',"
    " held_at = now() WHERE id = %s"
)
_GROUP = (
    "INSERT INTO notifications.match_group (id, tenant, rule_id, rule, key, labels, severity,"
    " channel_ids, update_seconds, window_ends_at, opened_at) VALUES"
    " (%s, 'acme', %s, 'r', %s, '{}', 'low', '{}', 300, now() + interval '1 h', now())"
)


class World:
    """An installation whose services are asked by people of two tenants and all roles."""

    def __init__(
        self, settings: Settings, client_for: Callable[..., TestClient], admin: psycopg.Connection
    ) -> None:
        self.settings = settings
        self._client_for = client_for
        self._admin = admin
        self._clients: dict[tuple[str, str, str], TestClient] = {}
        self._stack = ExitStack()
        self.people = People(client_for, self.execute, settings.service_url("gateway"))

    def client(self, service: str, role: RoleName, tenant: str = OWNER) -> TestClient:
        """A client of a service."""
        key = (service, role, tenant)
        if key not in self._clients:
            self._clients[key] = self._client_for(service, tenant=tenant, role=role)
        return self._clients[key]

    def post(self, service: str, path: str, **options: Any) -> dict[str, Any]:
        """What an operator's POST in the tenant answers."""
        answer = self.client(service, "operator").post(path, **options)
        assert answer.is_success, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def execute(self, statement: str, *values: object) -> Any:
        """The first column of the first row of a statement of a superuser, if it has one."""
        cursor = self._admin.execute(statement.encode(), values)
        if cursor.description is None:
            return None
        row = cursor.fetchone()
        return None if row is None else row[0]

    def digests(self, service: str) -> dict[str, tuple[int, str]]:
        """The number and a digest of the rows of each table, but for the audit and what it sends.

        Two states of a service are the same if all are.
        """
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
        names = [row[0] for row in self._admin.execute(query, (service,))]
        return {name: self._digest(service, name) for name in names if name not in _UNCOUNTED}

    def _digest(self, service: str, table: str) -> tuple[int, str]:
        query = sql.SQL("SELECT count(*), sum(hashtextextended(t::text, 0))::text FROM {} t")
        row = self._admin.execute(query.format(sql.Identifier(service, table))).fetchone()
        assert row is not None
        return row[0], row[1]

    def last_audit(self, service: str) -> int:
        """The id of a service's newest audit record."""
        return int(self.execute(f"SELECT coalesce(max(id), 0) FROM {service}.audit"))

    def audited(self, service: str, after: int) -> list[dict[str, Any]]:
        """What was recorded after a record, oldest first."""
        query = f"SELECT action, target, actor, tenant, changes FROM {service}.audit WHERE id > %s"
        rows = self._admin.execute(f"{query} ORDER BY id".encode(), (after,))
        names = ("action", "target", "actor", "tenant", "changes")
        return [dict(zip(names, row, strict=True)) for row in rows]

    # People of the owner

    def person(self, login: str, role: str) -> str:
        """The id of a member, who is there or is made."""
        self.execute(
            "INSERT INTO gateway.person (id, tenant, login, name) VALUES (%s, '*', %s, 'P')"
            " ON CONFLICT DO NOTHING",
            uuid4(),
            login,
        )
        person_id = self.execute("SELECT id FROM gateway.person WHERE login = %s", login)
        self.execute(
            "INSERT INTO gateway.member (tenant, person_id, role, origin, created_by)"
            " VALUES ('acme', %s, %s, 'invitation', 'x') ON CONFLICT DO NOTHING",
            person_id,
            role,
        )
        return str(person_id)

    def member(self) -> str:
        """The id of a person who is a viewer."""
        return self.person(f"p{uuid4().hex}", "viewer")

    def as_member(self, call: Any) -> Any:
        """A request whose author is a member of the tenant."""
        self.person("kim@acme.example", "admin")
        return call

    def tenant(self) -> str:
        """The name of a tenant."""
        body = {"name": uuid4().hex, "title": "T"}
        return str(self.post("gateway", "/v1/tenants", json=body)["tenant"])

    def invitation(self) -> str:
        """An invitation's id."""
        return str(self.post("gateway", "/v1/invitations", json={})["invitation"]["id"])

    def api_key(self) -> str:
        """The id of an API key of the author of all requests."""
        self.person("kim@acme.example", "admin")
        created = self.post("gateway", "/v1/api-keys", json={"name": "key"})
        return str(created["api_key"]["id"])

    def provider(self) -> str:
        """An identity provider's id."""
        body = {"name": uuid4().hex, "issuer": "https://idp.example", "client_id": "x"}
        return str(self.post("gateway", "/v1/providers", json=body)["id"])

    # Objects of the owner

    def feed(self, **values: Any) -> str:
        """A feed's id."""
        body = {"name": f"feed {uuid4().hex}", "url": "http://127.0.0.1:1/list", **values}
        return str(self.post("feeds", "/v1/feeds", json=body)["id"])

    def uploaded_feed(self) -> str:
        """The id of a feed that has read a document."""
        name = f"upload {uuid4().hex}"
        run = self.post("feeds", "/v1/ingest", params={"name": name}, content=b"198.51.100.7\n")
        feed = self.execute("SELECT feed_id FROM feeds.run WHERE id = %s", run["id"])
        payload = self.execute("SELECT payload FROM feeds.run WHERE id = %s", run["id"])
        self.execute("UPDATE feeds.feed SET payload = %s WHERE id = %s", payload, feed)
        return str(feed)

    def source(self) -> str:
        """The id of a source of the owner's."""
        identity = uuid4()
        self.execute(
            "INSERT INTO observables.source (tenant, id, name, reliability, tlp) "
            "VALUES (%s, %s, 'a source', 80, 'green')",
            OWNER,
            identity,
        )
        return str(identity)

    def published_run(self, *, is_retracted: bool = False) -> str:
        """The id of a run that has published its document, or has taken it back."""
        feed = self.uploaded_feed()
        run = self.execute("SELECT id::text FROM feeds.run WHERE feed_id = %s", feed)
        self.execute(
            "UPDATE feeds.run SET state = 'succeeded', finished_at = now(), input = %s "
            "WHERE id = %s",
            "retraction" if is_retracted else "upload",
            run,
        )
        return str(run)

    def quarantined_feed(self) -> str:
        """The id of a feed whose last document is held back."""
        feed = self.uploaded_feed()
        run = self.execute("SELECT id::text FROM feeds.run WHERE feed_id = %s", feed)
        quarantine = {"times": 1, "reason": "Half is gone.", "run": run, "listed": 1, "before": 9}
        self.execute("UPDATE feeds.feed SET held = %s WHERE id = %s", Jsonb(quarantine), feed)
        return feed

    def channel(self, **values: Any) -> str:
        """A channel's id."""
        body = {"name": f"hook {uuid4().hex}", "kind": "webhook", **values}
        body.setdefault("config", {"url": "http://127.0.0.1:1/hook"})
        return str(self.post("notifications", "/v1/channels", json=body)["id"])

    def chat(self) -> str:
        """The id of a channel with credentials."""
        credentials = {"url": "http://127.0.0.1:1/SECRET-OF-BEFORE"}
        return self.channel(kind="slack", config={}, credentials=credentials)

    def rule(self) -> str:
        """A rule's id."""
        body = {"name": f"rule {uuid4().hex}", "channel_ids": [self.channel()]}
        return str(self.post("notifications", "/v1/rules", json=body)["id"])

    def delivery(self, channel: str | None = None) -> str:
        """The id of a delivery that has failed."""
        delivery = uuid4()
        self.execute(_DELIVERY, delivery, uuid4(), UUID(channel or self.channel()), uuid4().hex)
        return str(delivery)

    def message(self) -> str:
        """The id of a message in the inbox."""
        delivery = self.delivery(self.channel(kind="inbox", config={}))
        self.execute(
            "UPDATE notifications.delivery SET state = 'delivered' WHERE id = %s", delivery
        )
        return delivery

    def group(self) -> str:
        """The id of an open group."""
        group = uuid4()
        self.execute(_GROUP, group, uuid4(), uuid4().hex)
        return str(group)

    def silence_body(self) -> dict[str, Any]:
        """A silence as it is planned."""
        ends_at = datetime.now(UTC) + timedelta(hours=1)
        return {
            "filter": "change.score > 99",
            "reason": "maintenance",
            "ends_at": ends_at.isoformat(),
        }

    def silence(self) -> str:
        """A silence's id."""
        return str(self.post("notifications", "/v1/silences", json=self.silence_body())["id"])

    def rule_with_template(self) -> str:
        """The id of a rule that has a template."""
        rule = str(self.rule())
        path = f"/v1/rules/{rule}/template"
        answer = self.client("notifications", "analyst").put(path, json={"text": "{{ rule }}"})
        assert answer.status_code == 200, answer.text
        return rule

    def inhibition_body(self) -> dict[str, Any]:
        """An inhibition as it is created."""
        return {
            "name": uuid4().hex,
            "source_filter": "change.score > 99",
            "target_filter": "change.score < 1",
        }

    def inhibition(self) -> str:
        """An inhibition's id."""
        body = self.inhibition_body()
        return str(self.post("notifications", "/v1/inhibitions", json=body)["id"])

    def digest_body(self) -> dict[str, Any]:
        """A digest as it is created."""
        name = f"digest {uuid4().hex}"
        return {"name": name, "cron": "0 8 * * *", "channel_ids": [self.channel()]}

    def digest(self) -> str:
        """A digest's id."""
        return str(self.post("notifications", "/v1/digests", json=self.digest_body())["id"])

    def watchlist(self) -> str:
        """The id of a watchlist with one entry."""
        body = {"name": f"list {uuid4().hex}"}
        watchlist = str(self.post("notifications", "/v1/watchlists", json=body)["id"])
        entries = {"entries": [{"value": "198.51.100.0/24"}]}
        self.post("notifications", f"/v1/watchlists/{watchlist}/entries", json=entries)
        return watchlist

    def quiet_hours_body(self) -> dict[str, Any]:
        """Quiet hours as they are set."""
        return {"timezone": "UTC", "periods": [{"start": "22:00", "end": "06:00"}]}

    def quiet_channel(self) -> str:
        """The id of a channel with quiet hours."""
        channel = self.channel()
        path = f"/v1/channels/{channel}/quiet-hours"
        answer = self.client("notifications", "operator").put(path, json=self.quiet_hours_body())
        assert answer.is_success, answer.text
        return channel

    def schedule(self) -> str:
        """A schedule's id."""
        return str(self.post("scheduler", "/v1/schedules", json=self.schedule_body())["id"])

    def schedule_body(self) -> dict[str, Any]:
        """A schedule as it is created."""
        return {
            "name": f"schedule {uuid4().hex}",
            "task": "feeds.tasks.start_feed",
            "args": [str(uuid4())],
            "every_seconds": 3600,
        }

    def policy_body(self) -> dict[str, Any]:
        """A policy as it is created."""
        return {"name": f"policy {uuid4().hex}", "enrichers": ["rdap"], "sources": ["none"]}

    def policy(self) -> str:
        """A policy's id."""
        body = self.policy_body()
        return str(self.post("observables", "/v1/enrichment-policies", json=body)["id"])

    def dissemination_list(self) -> str:
        """A list's id."""
        body = {"name": f"list-{uuid4().hex}", "filter": "observable.score >= 80"}
        return str(self.post("observables", "/v1/lists", json=body)["id"])

    def held_list(self) -> str:
        """The id of a list that was stopped."""
        list_id = self.dissemination_list()
        self.execute(_HOLD, list_id)
        return list_id

    def protected_value(self) -> str:
        """A name that no list may have."""
        value = f"{uuid4().hex}.example.com"
        self.post("observables", "/v1/protected-values", json={"value": value})
        return value

    def list_consumer(self) -> str:
        """The id of a consumer of lists."""
        body = {"name": f"device {uuid4().hex}", "list_ids": [self.dissemination_list()]}
        return str(self.post("observables", "/v1/list-consumers", json=body)["id"])

    def collection(self) -> str:
        """A writable collection's id."""
        body = {"title": f"collection {uuid4().hex}", "is_writable": True}
        return str(self.post("observables", "/v1/collections", json=body)["id"])

    def push_body(self) -> dict[str, Any]:
        """A push as it is created."""
        return {
            "name": f"push {uuid4().hex}",
            "collection_id": self.collection(),
            "kind": "taxii",
            "config": {"url": "http://127.0.0.1:2/root/collections/1/"},
        }

    def push(self) -> str:
        """A push's id."""
        return str(self.post("observables", "/v1/pushes", json=self.push_body())["id"])

    def envelope(self) -> bytes:
        """An envelope with one object."""
        address = {"type": "ipv4-addr", "id": f"ipv4-addr--{uuid4()}", "value": "198.51.100.3"}
        return json.dumps({"objects": [address]}).encode()

    def posted_object(self) -> str:
        """The path of an object in a collection, without a slash at its end."""
        path = f"/taxii2/acme/collections/{self.collection()}/objects"
        headers = {"content-type": "application/taxii+json;version=2.1"}
        status = self.post("observables", path, content=self.envelope(), headers=headers)
        return f"{path}/{status['successes'][0]['id']}"

    def sighting(self, value: str = "198.51.100.9") -> str:
        """A sighting's id."""
        sighting = str(uuid4())
        body = {"sightings": [{"value": value, "id": sighting}]}
        self.post("observables", "/v1/sightings", json=body)
        return sighting

    def parked(self, service: str) -> int:
        """The id of a parked event."""
        return int(self.execute(_PARKED.format(service)))

    def halted(self, service: str) -> str:
        """The topic of a partition that is halted."""
        topic = f"topic-{uuid4().hex}"
        own: Database = database(service)
        record = ConsumedRecord(topic, 0, 41, None, b"{}", [("ce_id", b"e-41")], 1_000)
        with own.transaction(PLATFORM) as session:
            row = OffsetRow(session, PartitionKey("cluster", "group", topic, 0))
            row.advance(record, [40, 41])
            row.halt("The handler fails.", "1.0")
        return topic


def now() -> str:
    """The time, as requests name it."""
    return datetime.now(UTC).isoformat()

"""What each request changes: the table of effects, from which the matrix is generated.

A route that is not GET has entries here, or the suite fails. An effect names the action that the
audit tells of it. A request without an action changes nothing, unless the rows that it writes name
their author.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from services.feeds.catalog.service import list_entries
from shared.settings import SERVICES
from tests.effects.effect import Call, Effect, effect_of
from tests.effects.gateway_effects import GATEWAY_EFFECTS
from tests.effects.lists import LIST_EFFECTS, LIST_FIELDS
from tests.effects.pushes import PUSH_EFFECTS, PUSH_FIELDS
from tests.effects.world import World, now


def _free_entry() -> str:
    return next(
        entry.slug
        for entry in list_entries()
        if entry.retired is None and (entry.auth is None or not entry.auth.required)
    )


_FEEDS = [
    ("POST", "/v1/feeds", "feeds.create", lambda _: Call("/v1/feeds", json={"name": uuid4().hex})),
    ("PATCH", "/v1/feeds/{feed_id}", "feeds.update",
     lambda w: Call(f"/v1/feeds/{w.feed()}", json={"tlp": "red"})),
    ("DELETE", "/v1/feeds/{feed_id}", "feeds.delete", lambda w: Call(f"/v1/feeds/{w.feed()}")),
    ("POST", "/v1/feeds/{feed_id}/runs", "feeds.run",
     lambda w: Call(f"/v1/feeds/{w.feed()}/runs")),
    ("POST", "/v1/feeds/{feed_id}/confirm", "feeds.confirm",
     lambda w: Call(f"/v1/feeds/{w.quarantined_feed()}/confirm")),
    ("POST", "/v1/feeds/{feed_id}/resync", "feeds.resync",
     lambda w: Call(f"/v1/feeds/{w.feed()}/resync")),
    ("POST", "/v1/feeds/{feed_id}/retract", "feeds.retract",
     lambda w: Call(f"/v1/feeds/{w.uploaded_feed()}/retract", json={})),
    ("POST", "/v1/feeds/{feed_id}/retract", None,
     lambda w: Call(f"/v1/feeds/{w.uploaded_feed()}/retract", json={"dry_run": True})),
    ("POST", "/v1/runs/{run_id}/retract", "feeds.retract",
     lambda w: Call(f"/v1/runs/{w.published_run()}/retract", json={})),
    ("POST", "/v1/runs/{run_id}/restore", "feeds.restore",
     lambda w: Call(f"/v1/runs/{w.published_run(is_retracted=True)}/restore")),
    ("POST", "/v1/feeds/{feed_id}/reparse", "feeds.reparse",
     lambda w: Call(f"/v1/feeds/{w.uploaded_feed()}/reparse",
                    json={"format": "text", "apply": True})),
    ("POST", "/v1/feeds/{feed_id}/reparse", None,
     lambda w: Call(f"/v1/feeds/{w.uploaded_feed()}/reparse", json={"format": "text"})),
    ("POST", "/v1/catalogue/{slug}/subscribe", "feeds.create",
     lambda _: Call(f"/v1/catalogue/{_free_entry()}/subscribe", json={"name": uuid4().hex})),
    ("POST", "/v1/preview/document", None,
     lambda _: Call("/v1/preview/document", content=b"198.51.100.7\n")),
    ("POST", "/v1/reconcile", "feeds.reconcile", lambda _: Call("/v1/reconcile")),
]  # fmt: skip


def _ingest_known(world: World) -> Call:
    feed = world.feed()
    name = world.execute("SELECT name FROM feeds.feed WHERE id = %s", feed)
    return Call("/v1/ingest", params={"name": name}, content=b"198.51.100.8\n")


def _relation(world: World) -> Call:
    world.sighting("198.51.100.9")
    world.sighting("relation.example.com")
    relation = {"from": "relation.example.com", "kind": "resolves-to", "to": "198.51.100.9"}
    return Call("/v1/relations", json={"relations": [relation]})


_OBSERVABLES = [
    ("POST", "/v1/lookup", None, lambda _: Call("/v1/lookup", json={"values": ["192.0.2.1"]})),
    ("POST", "/v1/extract", None,
     lambda _: Call("/v1/extract", content=b"seen: 198.51.100.7", media_type="text/plain")),
    ("DELETE", "/v1/sightings/{identity}", "sightings.withdraw",
     lambda w: Call(f"/v1/sightings/sighting--{w.sighting()}")),
    ("PATCH", "/v1/enrichers/{name}", "enrichers.change",
     lambda _: Call("/v1/enrichers/rdap", json={"daily": 7})),
    ("DELETE", "/v1/enrichers/{name}/key", "enrichers.change",
     lambda _: Call("/v1/enrichers/shodan/key")),
    ("POST", "/v1/enrichers/{name}/test", "enrichers.test",
     lambda _: Call("/v1/enrichers/rdap/test")),
    ("POST", "/v1/enrichment-jobs/cancel", "enrichments.cancel",
     lambda _: Call("/v1/enrichment-jobs/cancel", json={})),
    ("POST", "/v1/enrichment-policies", "policies.create",
     lambda w: Call("/v1/enrichment-policies", json=w.policy_body())),
    ("PATCH", "/v1/enrichment-policies/{policy_id}", "policies.change",
     lambda w: Call(f"/v1/enrichment-policies/{w.policy()}", json={"depth": 2})),
    ("DELETE", "/v1/enrichment-policies/{policy_id}", "policies.delete",
     lambda w: Call(f"/v1/enrichment-policies/{w.policy()}")),
    ("POST", "/v1/enrichment-policies/dry-run", None,
     lambda w: Call("/v1/enrichment-policies/dry-run", json=w.policy_body())),
    ("POST", "/v1/enrichment-policies/{policy_id}/dry-run", None,
     lambda w: Call(f"/v1/enrichment-policies/{w.policy()}/dry-run")),
    ("POST", "/v1/enrichment-policies/{policy_id}/apply", "policies.apply",
     lambda w: Call(f"/v1/enrichment-policies/{w.policy()}/apply")),
    ("PUT", "/v1/evidence-policy", "evidence.policy",
     lambda _: Call("/v1/evidence-policy", json={"applies_learning": True})),
    ("PUT", "/v1/sources/{source_id}/cost", "sources.set_cost",
     lambda w: Call(f"/v1/sources/{w.source()}/cost", json={"yearly_cost": 12_000})),
    ("POST", "/v1/collections", "collections.create",
     lambda _: Call("/v1/collections", json={"title": uuid4().hex, "is_writable": True})),
    ("PATCH", "/v1/collections/{collection_id}", "collections.change",
     lambda w: Call(f"/v1/collections/{w.collection()}", json={"description": "ours"})),
    ("DELETE", "/v1/collections/{collection_id}", "collections.delete",
     lambda w: Call(f"/v1/collections/{w.collection()}")),
    ("POST", "/v1/reconcile", "observables.reconcile", lambda _: Call("/v1/reconcile")),
]  # fmt: skip

_OBJECTS = "/taxii2/{root}/collections/{collection_id}/objects"
_TAXII = "application/taxii+json;version=2.1"


def _post_object(slash: str) -> Callable[[World], Call]:
    return lambda world: Call(
        f"/taxii2/acme/collections/{world.collection()}/objects{slash}",
        content=world.envelope(),
        media_type=_TAXII,
    )


def _delete_object(slash: str) -> Callable[[World], Call]:
    return lambda world: Call(f"{world.posted_object()}{slash}")


_COLLECTIONS = [
    row
    for slash in ("", "/")
    for row in (
        ("POST", f"{_OBJECTS}{slash}", "collections.post", _post_object(slash)),
        (
            "DELETE",
            f"{_OBJECTS}/{{object_id}}{slash}",
            "collections.delete_object",
            _delete_object(slash),
        ),
    )
]


def _channel(world: World) -> Call:
    return Call("/v1/channels", json={"name": uuid4().hex, "kind": "log", "config": {}})


def _rule(world: World) -> Call:
    return Call("/v1/rules", json={"name": uuid4().hex, "channel_ids": [world.channel()]})


def _replay(world: World) -> Call:
    channel = world.channel()
    world.delivery(channel)
    times = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    return Call("/v1/deliveries/replay", json={**times, "channel_id": channel})


_ENTRIES = {"entries": [{"value": "192.0.2.0/24"}]}
_NOTIFICATIONS = [
    ("POST", "/v1/channels", "notifications.channel.create", _channel),
    ("PATCH", "/v1/channels/{channel_id}", "notifications.channel.update",
     lambda w: Call(f"/v1/channels/{w.channel()}", json={"enabled": False})),
    ("DELETE", "/v1/channels/{channel_id}", "notifications.channel.delete",
     lambda w: Call(f"/v1/channels/{w.channel()}")),
    ("POST", "/v1/channels/{channel_id}/test", "notifications.channel.test",
     lambda w: Call(f"/v1/channels/{w.channel()}/test")),
    ("POST", "/v1/rules", "notifications.rule.create", _rule),
    ("PATCH", "/v1/rules/{rule_id}", "notifications.rule.update",
     lambda w: Call(f"/v1/rules/{w.rule()}", json={"enabled": False})),
    ("DELETE", "/v1/rules/{rule_id}", "notifications.rule.delete",
     lambda w: Call(f"/v1/rules/{w.rule()}")),
    ("POST", "/v1/deliveries/{delivery_id}/retry", "notifications.delivery.retry",
     lambda w: Call(f"/v1/deliveries/{w.delivery()}/retry")),
    ("POST", "/v1/deliveries/{delivery_id}/replay", "notifications.delivery.replay",
     lambda w: Call(f"/v1/deliveries/{w.delivery()}/replay", json={})),
    ("POST", "/v1/deliveries/replay", "notifications.delivery.replay", _replay),
    ("POST", "/v1/rules/dry-run", None,
     lambda w: Call("/v1/rules/dry-run", json={"rule": _rule(w).json, "hours": 1})),
    ("POST", "/v1/rules/{rule_id}/dry-run", None,
     lambda w: Call(f"/v1/rules/{w.rule()}/dry-run", json={"hours": 1})),
    ("POST", "/v1/groups/{group_id}/acknowledge", "notifications.group.acknowledge",
     lambda w: Call(f"/v1/groups/{w.group()}/acknowledge")),
    ("POST", "/v1/groups/{group_id}/close", "notifications.group.close",
     lambda w: Call(f"/v1/groups/{w.group()}/close")),
    ("POST", "/v1/silences", "notifications.silence.create",
     lambda w: Call("/v1/silences", json=w.silence_body())),
    ("PATCH", "/v1/silences/{silence_id}", "notifications.silence.update",
     lambda w: Call(f"/v1/silences/{w.silence()}", json={"reason": "another reason"})),
    ("POST", "/v1/silences/{silence_id}/end", "notifications.silence.end",
     lambda w: Call(f"/v1/silences/{w.silence()}/end")),
    ("POST", "/v1/silences/preview", None,
     lambda _: Call("/v1/silences/preview", json={"filter": "change.score > 50"})),
    ("PUT", "/v1/rules/{rule_id}/template", "notifications.template.set",
     lambda w: Call(f"/v1/rules/{w.rule()}/template", json={"text": "{{ rule }}"})),
    ("DELETE", "/v1/rules/{rule_id}/template", "notifications.template.delete",
     lambda w: Call(f"/v1/rules/{w.rule_with_template()}/template")),
    ("POST", "/v1/templates/preview", None,
     lambda _: Call("/v1/templates/preview", json={"text": "{{ rule }}"})),
    ("POST", "/v1/inhibitions", "notifications.inhibition.create",
     lambda w: Call("/v1/inhibitions", json=w.inhibition_body())),
    ("PATCH", "/v1/inhibitions/{inhibition_id}", "notifications.inhibition.update",
     lambda w: Call(f"/v1/inhibitions/{w.inhibition()}", json={"hold_seconds": 60})),
    ("DELETE", "/v1/inhibitions/{inhibition_id}", "notifications.inhibition.delete",
     lambda w: Call(f"/v1/inhibitions/{w.inhibition()}")),
    ("POST", "/v1/inhibitions/preview", None,
     lambda w: Call("/v1/inhibitions/preview", json={"inhibition": w.inhibition_body()})),
    ("POST", "/v1/digests", "notifications.digest.create",
     lambda w: Call("/v1/digests", json=w.digest_body())),
    ("PATCH", "/v1/digests/{digest_id}", "notifications.digest.update",
     lambda w: Call(f"/v1/digests/{w.digest()}", json={"enabled": False})),
    ("DELETE", "/v1/digests/{digest_id}", "notifications.digest.delete",
     lambda w: Call(f"/v1/digests/{w.digest()}")),
    ("POST", "/v1/watchlists", "notifications.watchlist.create",
     lambda _: Call("/v1/watchlists", json={"name": uuid4().hex})),
    ("PATCH", "/v1/watchlists/{watchlist_id}", "notifications.watchlist.update",
     lambda w: Call(f"/v1/watchlists/{w.watchlist()}", json={"description": "ours"})),
    ("DELETE", "/v1/watchlists/{watchlist_id}", "notifications.watchlist.delete",
     lambda w: Call(f"/v1/watchlists/{w.watchlist()}")),
    ("POST", "/v1/watchlists/{watchlist_id}/entries", "notifications.watchlist.add_entries",
     lambda w: Call(f"/v1/watchlists/{w.watchlist()}/entries", json=_ENTRIES)),
    ("POST", "/v1/watchlists/{watchlist_id}/entries/remove",
     "notifications.watchlist.remove_entries",
     lambda w: Call(f"/v1/watchlists/{w.watchlist()}/entries/remove", json=_ENTRIES)),
    ("POST", "/v1/watchlists/{watchlist_id}/import", "notifications.watchlist.replace_entries",
     lambda w: Call(f"/v1/watchlists/{w.watchlist()}/import",
                    json={"csv": "192.0.2.0/24", "replace": True})),
    ("PUT", "/v1/channels/{channel_id}/quiet-hours", "notifications.quiet_hours.set",
     lambda w: Call(f"/v1/channels/{w.channel()}/quiet-hours", json=w.quiet_hours_body())),
    ("DELETE", "/v1/channels/{channel_id}/quiet-hours", "notifications.quiet_hours.delete",
     lambda w: Call(f"/v1/channels/{w.quiet_channel()}/quiet-hours")),
    ("POST", "/v1/inbox/read", "notifications.inbox.read",
     lambda w: Call("/v1/inbox/read", params={"until": w.message()})),
    ("POST", "/v1/inbox/{delivery_id}/read", "notifications.inbox.read",
     lambda w: Call(f"/v1/inbox/{w.message()}/read")),
    ("POST", "/v1/reconcile", "notifications.reconcile", lambda _: Call("/v1/reconcile")),
]  # fmt: skip

_MITRE = [
    ("POST", "/v1/loads", "mitre.load",
     lambda _: Call("/v1/loads", json={"url": "http://127.0.0.1:1/bundle.json"})),
    ("POST", "/v1/loads/upload", "mitre.upload",
     lambda _: Call("/v1/loads/upload", params={"name": "bundle.json"}, content=b"{}")),
    ("PATCH", "/v1/sources/{domain}", "mitre.source",
     lambda _: Call("/v1/sources/ics-attack", json={"url": f"http://127.0.0.1:1/{uuid4().hex}"})),
    ("POST", "/v1/reconcile", "mitre.reconcile", lambda _: Call("/v1/reconcile")),
]  # fmt: skip

_SCHEDULER = [
    ("POST", "/v1/schedules", "schedules.create",
     lambda w: Call("/v1/schedules", json=w.schedule_body())),
    ("PATCH", "/v1/schedules/{schedule_id}", "schedules.change",
     lambda w: Call(f"/v1/schedules/{w.schedule()}", json={"every_seconds": 60})),
    ("DELETE", "/v1/schedules/{schedule_id}", "schedules.delete",
     lambda w: Call(f"/v1/schedules/{w.schedule()}")),
    ("POST", "/v1/schedules/{schedule_id}/run", "schedules.run",
     lambda w: Call(f"/v1/schedules/{w.schedule()}/run")),
    ("POST", "/v1/reconcile", None, lambda _: Call("/v1/reconcile")),
]  # fmt: skip


def _platform(service: str) -> list[Effect]:
    """The effects of the routes that every service has."""

    def parked(world: World) -> dict[str, list[int]]:
        return {"ids": [world.parked(service)]}

    rows: list[tuple[str, str, str, Callable[[World], Call]]] = [
        ("POST", "/v1/outbox/parked/retry", "outbox.retry",
         lambda w: Call("/v1/outbox/parked/retry", json=parked(w))),
        ("POST", "/v1/outbox/parked/discard", "outbox.discard",
         lambda w: Call("/v1/outbox/parked/discard", json=parked(w))),
        ("POST", "/v1/outbox/resend", "outbox.resend",
         lambda _: Call("/v1/outbox/resend", json={"since": now()})),
        ("POST", "/v1/consumers/retries", "dead.retry",
         lambda _: Call("/v1/consumers/retries", json={"letters": ["feeds.observed.v1/0/7"]})),
        ("POST", "/v1/tokens/{token_id}/revoke", "tokens.revoke",
         lambda _: Call(f"/v1/tokens/{uuid4().hex}/revoke")),
        ("POST", "/v1/consumers/release", "consumers.release",
         lambda w: Call("/v1/consumers/release", json={"topic": w.halted(service)})),
    ]  # fmt: skip
    return [effect_of(service, *row) for row in rows]


def _quota(name: str) -> Callable[[World], Call]:
    """Sets a limit that is far from what the tests use."""
    path = f"/v1/quotas/{uuid4().hex}/{name}"
    return lambda _: Call(path, json={"limit": 7_000})


EFFECTS: list[Effect] = [
    *(effect_of("feeds", *row) for row in _FEEDS),
    effect_of("feeds", "POST", "/v1/ingest", "feeds.upload", _ingest_known),
    # An analyst may look at an address. Nobody answers here.
    effect_of("feeds", "POST", "/v1/preview", None,
            lambda _: Call("/v1/preview", json={"url": "http://127.0.0.1:1/list"}), status=502),
    *(effect_of("observables", *row) for row in _OBSERVABLES),
    *(effect_of("observables", *row) for row in _COLLECTIONS),
    *LIST_EFFECTS,
    *PUSH_EFFECTS,
    effect_of("observables", "POST", "/v1/sightings", None,
            lambda _: Call("/v1/sightings", json={"sightings": [{"value": "198.51.100.9"}]}),
            names_author=True),
    effect_of("observables", "POST", "/v1/relations", None, _relation, names_author=True),
    effect_of("observables", "POST", "/v1/enrichments", None,
            lambda _: Call("/v1/enrichments", json={"values": ["198.51.100.9"]}),
            names_author=True),
    *(effect_of("notifications", *row) for row in _NOTIFICATIONS),
    *(effect_of("mitre", *row) for row in _MITRE),
    *(effect_of("scheduler", *row) for row in _SCHEDULER),
    *GATEWAY_EFFECTS,
    *(effect_of(service, "PUT", "/v1/quotas/{tenant}/{name}", "quotas.set", _quota(name))
      for service, name in (("feeds", "feeds"), ("observables", "bulk-requests"),
                            ("notifications", "rules"), ("scheduler", "schedules"),
                            ("gateway", "api-keys"))),
    *(effect for service in SERVICES
      for effect in _platform(service)),
]  # fmt: skip

OtherWebhook = {"config": {"url": "http://127.0.0.1:2/hook"}, "secret": f"whsec_{'A' * 32}"}
_CHANNELS = ("notifications", "PATCH", "/v1/channels/{channel_id}")
_RULES = ("notifications", "PATCH", "/v1/rules/{rule_id}")
_SILENCES = ("notifications", "PATCH", "/v1/silences/{silence_id}")
_INHIBITIONS = ("notifications", "PATCH", "/v1/inhibitions/{inhibition_id}")
_DIGESTS = ("notifications", "PATCH", "/v1/digests/{digest_id}")
_WATCHLISTS = ("notifications", "PATCH", "/v1/watchlists/{watchlist_id}")
_SCHEDULES = ("scheduler", "PATCH", "/v1/schedules/{schedule_id}")
_POLICIES = ("observables", "PATCH", "/v1/enrichment-policies/{policy_id}")
_ENRICHERS = ("observables", "PATCH", "/v1/enrichers/{name}")
_FEED = ("feeds", "PATCH", "/v1/feeds/{feed_id}")
_SOURCES = ("mitre", "PATCH", "/v1/sources/{domain}")

FIELDS: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {
    **LIST_FIELDS,
    **PUSH_FIELDS,
    ("gateway", "PATCH", "/v1/tenants/{tenant}"): {"frozen": {"frozen": True}},
    ("gateway", "PATCH", "/v1/members/{person_id}"): {
        "role": {"role": "analyst"},
        "frozen": {"frozen": True},
    },
    _FEED: {
        "url": {"url": "http://127.0.0.1:2/list"},
        "format": {"format": "csv"},
        "options": {"options": {"delimiter": ";"}},
        "confidence": {"confidence": 99},
        "reliability": {"reliability": "A"},
        "tlp": {"tlp": "red"},
        "tags": {"tags": ["c2"]},
        "every_seconds": {"every_seconds": 3600},
        "enabled": {"enabled": False},
        "collector": {"collector": "taxii"},
        "collector_options": {"collector_options": {"collection": "x"}},
        "kind": {"kind": "stream"},
        "min_interval": {"min_interval": 9},
        "origin": {"origin": "abuse.ch"},
        "derived_from": {"derived_from": ["abuse.ch"]},
        "retention_days": {"retention_days": 9},
        "auth": {"auth": {"kind": "bearer", "token": "SECRET-OF-A-FEED"}},
    },
    _CHANNELS: {
        "name": {"name": "another name"},
        "config": OtherWebhook,
        "secret": {"secret": f"whsec_{'B' * 32}"},
        "credentials": {"credentials": {"url": "http://127.0.0.1:2/SECRET-OF-A-CHANNEL"}},
        "enabled": {"enabled": False},
        "max_tlp": {"max_tlp": "green"},
    },
    _RULES: {
        "name": {"name": "another name"},
        "enabled": {"enabled": False},
        "on": {"on": ["expired"]},
        "types": {"types": ["ipv4-addr"]},
        "min_score": {"min_score": 50},
        "sources": {"sources": ["a feed"]},
        "tags": {"tags": ["c2"]},
        "filter": {"filter": "change.score > 50"},
        "channel_ids": {"channel_ids": []},
        "group_by": {"group_by": ["observable.type"]},
        "update_seconds": {"update_seconds": 60},
        "max_groups": {"max_groups": 7},
        "severity": {"severity": "high"},
        "digest_id": {"digest_id": None},
        "escalation": {"escalation": []},
        "topic": {"topic": "runs"},
    },
    _SILENCES: {
        "reason": {"reason": "another reason"},
        "ends_at": {"ends_at": (datetime.now(UTC) + timedelta(days=7)).isoformat()},
    },
    _INHIBITIONS: {
        "name": {"name": "another name"},
        "enabled": {"enabled": False},
        "source_filter": {"source_filter": "change.score > 98"},
        "target_filter": {"target_filter": "change.score < 2"},
        "equal": {"equal": ["source.name"]},
        "hold_seconds": {"hold_seconds": 60},
    },
    _DIGESTS: {
        "name": {"name": "another name"},
        "cron": {"cron": "0 9 * * *"},
        "timezone": {"timezone": "Europe/Berlin"},
        "channel_ids": {"channel_ids": []},
        "enabled": {"enabled": False},
    },
    _WATCHLISTS: {"description": {"description": "ours"}},
    _SCHEDULES: {
        "name": {"name": "another name"},
        "task": {"task": "mitre.tasks.refresh_sources"},
        "args": {"args": [str(uuid4())]},
        "cron": {"cron": "0 6 * * *", "every_seconds": None},
        "every_seconds": {"every_seconds": 60},
        "timezone": {"timezone": "Europe/Berlin"},
        "jitter_seconds": {"jitter_seconds": 5},
        "enabled": {"enabled": False},
        "catch_up": {"catch_up": "once"},
    },
    _POLICIES: {
        "name": {"name": "another name"},
        "enabled": {"enabled": False},
        "enrichers": {"enrichers": ["shodan"]},
        "types": {"types": ["ipv4-addr"]},
        "sources": {"sources": ["a feed"]},
        "tags": {"tags": ["c2"]},
        "min_score": {"min_score": 50},
        "depth": {"depth": 1},
        "daily_budget": {"daily_budget": 9},
    },
    ("observables", "PATCH", "/v1/collections/{collection_id}"): {
        "title": {"title": "another title"},
        "description": {"description": "ours"},
        "has_empty_list": {"has_empty_list": True},
    },
    _ENRICHERS: {
        "enabled": {"enabled": False},
        "key": {"key": {"key": "SECRET-OF-A-PROVIDER"}},
        "max_tlp": {"max_tlp": "green"},
        "rate": {"rate": {"calls": 3, "seconds": 9}},
        "daily": {"daily": 9},
    },
    _SOURCES: {
        "url": {"url": "http://127.0.0.1:3/bundle"},
        "enabled": {"enabled": False},
    },
}
"""A body for each field of each body that changes something; the field is among its changes."""

STORED_AS = {"key": "sealed_key", "rate": "rate_calls", "auth": "secret", "credentials": "secret"}
"""Fields whose change the audit tells under another name."""

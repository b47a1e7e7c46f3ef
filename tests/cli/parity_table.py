"""What offers each operation of the APIs on the command line, or why nothing does."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Verb(NamedTuple):
    """What offers an operation on the command line.

    Attributes:
        command: its words.
        names: by parameter of the API, the parameter of the command, where the names differ.
        reasons: by parameter of the API, why the command has none for it.
    """

    command: str
    names: Mapping[str, str] = MappingProxyType({})
    reasons: Mapping[str, str] = MappingProxyType({})


class Reason(str):
    """Why an operation has no command."""

    __slots__ = ()


PAGES = {
    "after": "the command reads page after page",
    "limit": "the command reads page after page, or has --limit",
}
REFERENCE = {
    "feed_id": "feed",
    "schedule_id": "schedule",
    "rule_id": "rule",
    "channel_id": "channel",
    "delivery_id": "delivery",
    "policy_id": "policy",
    "list_id": "name",
    "consumer_id": "consumer",
    "run_id": "run",
    "slug": "slug",
    "load_id": "load",
    "request_id": "request",
    "token_id": "ids",
    "domain": "domain",
    "identity": "value",
    "collection_id": "collection",
    "push_id": "push",
    "group_id": "group",
    "silence_id": "silence",
    "inhibition_id": "inhibition",
    "digest_id": "digest",
    "watchlist_id": "watchlist",
}
"""By parameter of a path, the argument that names the same thing."""
SETTINGS = {
    "options": "option",
    "tags": "tag",
    "every_seconds": "every",
    "collector_options": "collector_option",
}
POLICY = {
    "enrichers": "with_",
    "types": "type_",
    "sources": "source",
    "tags": "tag",
    "daily_budget": "daily",
}
RULE = {
    "types": "type_",
    "sources": "source",
    "tags": "tag",
    "filter": "filter_",
    "channel_ids": "channel",
}
LIST = {
    "filter": "filter_",
    "order_by": "order",
    "tlp_ceiling": "tlp",
    "grace_seconds": "grace",
    "format_options": "format_option",
    "is_collection": "collection",
}
LIST_CHANGE = LIST | {"list_id": "list_"}
LIST_CONSUMER = {
    "list_ids": "list_",
    "networks": "network",
    "silent_after_seconds": "silent_after",
}
COLLECTION = {
    "list_id": "from_list",
    "is_writable": "writable",
    "has_empty_list": "empty_list",
}
PUSH = {"config": "option", "enabled": "disabled"}
INHIBITION = {
    "source_filter": "source",
    "target_filter": "target",
    "enabled": "disabled",
}
SILENCE = {"ends_at": "until", "starts_at": "starts"}
DIGEST = {"channel_ids": "channel", "enabled": "disabled"}
MESSAGE = {"delivery_id": "message"}
SCHEDULE = {"every_seconds": "every", "jitter_seconds": "jitter"}
SWITCH = {"enabled": "`enable` and `disable` are commands of their own"}
UPLOAD = {"file": "the file's own name is sent", "name": "the file's own name is shown"}

EVERY_SERVICE: dict[str, Verb | Reason] = {
    "GET /v1/audit": Verb("audit list", {"tenant": "of", "own": "all_tenants"}, PAGES),
    "GET /v1/audit/chains": Verb("audit verify"),
    "GET /v1/quotas": Verb("quotas list", {"tenant": "tenant"}),
    "PUT /v1/quotas/{tenant}/{name}": Verb("quotas set"),
    "GET /v1/tokens": Verb("tokens list", reasons=PAGES),
    "POST /v1/tokens/{token_id}/revoke": Verb("tokens revoke"),
    "GET /v1/outbox": Verb("events waiting"),
    "GET /v1/outbox/parked": Verb("events parked list", reasons=PAGES),
    "POST /v1/outbox/parked/retry": Verb("events parked retry"),
    "POST /v1/outbox/parked/discard": Verb("events parked discard"),
    "POST /v1/outbox/resend": Verb("events resend"),
    "GET /v1/consumers": Verb("consumers list"),
    "POST /v1/consumers/retries": Verb("dead retry", {"letters": "ids", "vouches": "vouch"}),
    "POST /v1/consumers/release": Verb("consumers release", {"topic": "partition"}),
    "POST /v1/reconcile": Verb("reconcile"),
    "GET /healthz": Verb("doctor"),
    "GET /readyz": Verb("doctor"),
}
OPERATIONS: dict[str, Verb | Reason] = {
    "feeds GET /v1/feeds": Verb("feeds list", reasons=PAGES),
    "feeds POST /v1/feeds": Verb("feeds add", SETTINGS | {"enabled": "paused"}),
    "feeds GET /v1/feeds/{feed_id}": Verb("feeds show"),
    "feeds PATCH /v1/feeds/{feed_id}": Verb(
        "feeds edit", SETTINGS, {"enabled": "`pause` and `enable` are commands of their own"}
    ),
    "feeds DELETE /v1/feeds/{feed_id}": Verb("feeds delete"),
    "feeds POST /v1/feeds/{feed_id}/retract": Verb("feeds delete"),
    "feeds POST /v1/runs/{run_id}/retract": Verb("feeds retract"),
    "feeds POST /v1/runs/{run_id}/restore": Verb("feeds restore"),
    "feeds GET /v1/runs": Verb("feeds runs", reasons=PAGES),
    "feeds GET /v1/runs/{run_id}": Verb("feeds follow"),
    "feeds POST /v1/feeds/{feed_id}/runs": Verb("feeds run"),
    "feeds POST /v1/feeds/{feed_id}/confirm": Verb("feeds confirm"),
    "feeds POST /v1/feeds/{feed_id}/resync": Verb("feeds resync"),
    "feeds POST /v1/ingest": Verb(
        "ingest", {"options": "option"}, {"file": "the file's own name is sent"}
    ),
    "feeds GET /v1/catalogue": Verb("feeds catalog"),
    "feeds GET /v1/catalogue/{slug}": Verb("feeds describe"),
    "feeds POST /v1/catalogue/{slug}/subscribe": Verb(
        "feeds subscribe", {"auth": "kind", "every_seconds": "every", "tags": "tag"}
    ),
    "feeds POST /v1/preview": Verb("feeds preview", SETTINGS | {"url": "source"}),
    "feeds POST /v1/preview/document": Verb("feeds preview", SETTINGS, UPLOAD),
    "feeds POST /v1/feeds/{feed_id}/reparse": Verb("feeds reparse", SETTINGS),
    "observables GET /v1/lookup": Verb("lookup", {"value": "values"}),
    "observables POST /v1/lookup": Verb("lookup"),
    "observables GET /v1/observables": Verb("observables search", reasons=PAGES),
    "observables GET /v1/observables/count": Verb("observables count"),
    "observables GET /v1/observables/{identity}": Verb("observables show"),
    "observables GET /v1/observables/{identity}/explain": Verb("observables explain"),
    "observables GET /v1/observables/{identity}/relations": Verb(
        "observables relations", reasons=PAGES
    ),
    "observables GET /v1/observables/{identity}/relations/counts": Verb(
        "observables relation-counts"
    ),
    "observables POST /v1/extract": Verb("extract"),
    "observables POST /v1/sightings": Verb("sightings add", {"sightings": "values"}),
    "observables DELETE /v1/sightings/{identity}": Verb(
        "sightings withdraw", {"identity": "sighting"}
    ),
    "observables POST /v1/relations": Verb("relations add", {"relations": "from_"}),
    "observables GET /v1/trends": Verb("trends", reasons=PAGES),
    "observables GET /v1/reference": Verb("reference"),
    "observables GET /v1/sources": Verb("observables sources"),
    "observables GET /v1/collections": Verb("collections list"),
    "observables POST /v1/collections": Verb("collections add", COLLECTION),
    "observables GET /v1/collections/{collection_id}": Verb("collections show"),
    "observables PATCH /v1/collections/{collection_id}": Verb("collections change", COLLECTION),
    "observables DELETE /v1/collections/{collection_id}": Verb("collections delete"),
    "observables GET /v1/pushes": Verb("collections pushes list"),
    "observables POST /v1/pushes": Verb("collections pushes add", PUSH),
    "observables GET /v1/pushes/{push_id}": Verb("collections pushes show"),
    "observables PATCH /v1/pushes/{push_id}": Verb("collections pushes change", PUSH),
    "observables DELETE /v1/pushes/{push_id}": Verb("collections pushes delete"),
    "observables GET /v1/source-values": Verb("observables values"),
    "observables PUT /v1/sources/{source_id}/cost": Verb(
        "observables cost", {"source_id": "source", "yearly_cost": "amount"}
    ),
    "observables GET /v1/source-pairs": Verb("observables copies"),
    "observables GET /v1/source-quality": Verb("observables quality"),
    "observables GET /v1/evidence-policy": Verb("observables learning"),
    "observables PUT /v1/evidence-policy": Verb(
        "observables learning", {"applies_learning": "applied"}
    ),
    "observables GET /v1/runs/{run_id}": Verb("feeds follow"),
    "observables GET /v1/lists": Verb("lists list", reasons=PAGES),
    "observables POST /v1/lists": Verb("lists add", LIST),
    "observables GET /v1/lists/{list_id}": Verb("lists show"),
    "observables PATCH /v1/lists/{list_id}": Verb("lists change", LIST_CHANGE),
    "observables DELETE /v1/lists/{list_id}": Verb("lists delete"),
    "observables GET /v1/lists/{list_id}/changes": Verb("lists changes"),
    "observables GET /v1/lists/{list_id}/diff": Verb("lists diff"),
    "observables GET /v1/lists/{list_id}/entries": Verb("lists entries", reasons=PAGES),
    "observables GET /v1/lists/{list_id}/why": Verb("lists why"),
    "observables POST /v1/lists/{list_id}/release": Verb("lists release"),
    "observables GET /v1/protected-values": Verb("lists protected"),
    "observables POST /v1/protected-values": Verb("lists protect"),
    "observables DELETE /v1/protected-values": Verb("lists unprotect"),
    "observables GET /v1/list-consumers": Verb("lists consumers list", reasons=PAGES),
    "observables POST /v1/list-consumers": Verb("lists consumers add", LIST_CONSUMER),
    "observables GET /v1/list-consumers/holders": Verb("lists holders"),
    "observables GET /v1/list-consumers/{consumer_id}": Verb("lists consumers show"),
    "observables PATCH /v1/list-consumers/{consumer_id}": Verb(
        "lists consumers change", LIST_CONSUMER
    ),
    "observables POST /v1/list-consumers/{consumer_id}/token": Verb("lists consumers renew"),
    "observables POST /v1/list-consumers/{consumer_id}/revoke": Verb("lists consumers revoke"),
    "observables DELETE /v1/list-consumers/{consumer_id}": Verb("lists consumers delete"),
    "observables GET /v1/list-formats": Verb("lists formats"),
    "observables GET /v1/enrichers": Verb("enrichers list"),
    "observables PATCH /v1/enrichers/{name}": Verb(
        "enrichers set",
        {"rate": "calls"},
        {"key": "`enrichers key` asks for it, so that it stands on no command line"},
    ),
    "observables DELETE /v1/enrichers/{name}/key": Verb("enrichers forget-key"),
    "observables POST /v1/enrichers/{name}/test": Verb("enrichers test"),
    "observables POST /v1/enrichments": Verb("enrich", {"enrichers": "with_"}),
    "observables GET /v1/enrichments/{request_id}": Verb("enrichments follow"),
    "observables GET /v1/enrichments/{request_id}/events": Verb("enrichments follow"),
    "observables GET /v1/enrichment-jobs": Verb("enrichments list", reasons=PAGES),
    "observables POST /v1/enrichment-jobs/cancel": Verb("enrichments cancel"),
    "observables GET /v1/observables/{identity}/enrichments/{enricher}/raw": Verb(
        "enrichments raw"
    ),
    "observables GET /v1/enrichment-policies": Verb("policies list"),
    "observables POST /v1/enrichment-policies": Verb(
        "policies add", POLICY, {"enabled": "`policies change --disable` switches it off"}
    ),
    "observables POST /v1/enrichment-policies/dry-run": Verb(
        "policies add", POLICY, {"enabled": "a forecast is the same for one that is off"}
    ),
    "observables PATCH /v1/enrichment-policies/{policy_id}": Verb("policies change", POLICY),
    "observables DELETE /v1/enrichment-policies/{policy_id}": Verb("policies delete"),
    "observables POST /v1/enrichment-policies/{policy_id}/dry-run": Verb("policies dry-run"),
    "observables POST /v1/enrichment-policies/{policy_id}/apply": Verb("policies apply"),
    "notifications GET /v1/channels": Verb("notifications channels list", reasons=PAGES),
    "notifications POST /v1/channels": Verb(
        "notifications channels add", {"config": "option", "enabled": "disabled"}
    ),
    "notifications GET /v1/channels/{channel_id}": Verb("notifications channels show"),
    "notifications PATCH /v1/channels/{channel_id}": Verb(
        "notifications channels edit", {"config": "option"}, SWITCH
    ),
    "notifications DELETE /v1/channels/{channel_id}": Verb("notifications channels delete"),
    "notifications POST /v1/channels/{channel_id}/test": Verb("notifications channels test"),
    "notifications GET /v1/rules": Verb("notifications rules list", reasons=PAGES),
    "notifications POST /v1/rules": Verb(
        "notifications rules add", RULE | {"enabled": "disabled", "digest_id": "digest"}
    ),
    "notifications GET /v1/rules/{rule_id}": Verb("notifications rules show"),
    "notifications PATCH /v1/rules/{rule_id}": Verb(
        "notifications rules edit", RULE | {"digest_id": "digest"}, SWITCH
    ),
    "notifications DELETE /v1/rules/{rule_id}": Verb("notifications rules delete"),
    "notifications GET /v1/deliveries": Verb("notifications deliveries list", reasons=PAGES),
    "notifications GET /v1/deliveries/{delivery_id}": Verb("notifications deliveries show"),
    "notifications POST /v1/deliveries/{delivery_id}/retry": Verb("notifications deliveries retry"),
    "notifications POST /v1/deliveries/{delivery_id}/replay": Verb(
        "notifications deliveries replay", {"channel_id": "to"}
    ),
    "notifications POST /v1/deliveries/replay": Verb(
        "notifications deliveries replay-all", {"to_channel_id": "to"}
    ),
    "notifications POST /v1/rules/{rule_id}/dry-run": Verb("notifications rules try"),
    "notifications GET /v1/channels/types": Verb("notifications channels types"),
    "notifications GET /v1/channels/{channel_id}/quiet-hours": Verb("notifications channels quiet"),
    "notifications PUT /v1/channels/{channel_id}/quiet-hours": Verb(
        "notifications channels quiet", {"periods": "period"}
    ),
    "notifications DELETE /v1/channels/{channel_id}/quiet-hours": Verb(
        "notifications channels quiet"
    ),
    "notifications GET /v1/groups": Verb("groups list", reasons=PAGES),
    "notifications GET /v1/groups/{group_id}": Verb("groups show"),
    "notifications GET /v1/groups/{group_id}/batches": Verb("groups matches", reasons=PAGES),
    "notifications POST /v1/groups/{group_id}/acknowledge": Verb("groups acknowledge"),
    "notifications POST /v1/groups/{group_id}/close": Verb("groups close"),
    "notifications GET /v1/inbox": Verb("inbox list", reasons=PAGES),
    "notifications GET /v1/inbox/count": Verb("inbox count"),
    "notifications POST /v1/inbox/read": Verb("inbox read"),
    "notifications POST /v1/inbox/{delivery_id}/read": Verb("inbox read", MESSAGE),
    "notifications GET /v1/silences": Verb("silences list", reasons=PAGES),
    "notifications POST /v1/silences": Verb("silences add", SILENCE),
    "notifications GET /v1/silences/{silence_id}": Verb("silences show"),
    "notifications PATCH /v1/silences/{silence_id}": Verb("silences edit", SILENCE),
    "notifications POST /v1/silences/{silence_id}/end": Verb("silences end"),
    "notifications POST /v1/silences/preview": Verb("silences preview"),
    "notifications GET /v1/rules/{rule_id}/template": Verb("notifications rules template"),
    "notifications PUT /v1/rules/{rule_id}/template": Verb(
        "notifications rules template", {"text": "file"}
    ),
    "notifications DELETE /v1/rules/{rule_id}/template": Verb("notifications rules template"),
    "notifications POST /v1/templates/preview": Verb(
        "notifications rules try-template", {"text": "file"}
    ),
    "notifications GET /v1/inhibitions": Verb("inhibitions list", reasons=PAGES),
    "notifications POST /v1/inhibitions": Verb("inhibitions add", INHIBITION),
    "notifications GET /v1/inhibitions/{inhibition_id}": Verb("inhibitions show"),
    "notifications PATCH /v1/inhibitions/{inhibition_id}": Verb(
        "inhibitions edit", INHIBITION, SWITCH
    ),
    "notifications DELETE /v1/inhibitions/{inhibition_id}": Verb("inhibitions delete"),
    "notifications POST /v1/inhibitions/preview": Verb(
        "inhibitions preview", {"inhibition": "source"}
    ),
    "notifications GET /v1/digests": Verb("digests list", reasons=PAGES),
    "notifications POST /v1/digests": Verb("digests add", DIGEST),
    "notifications GET /v1/digests/{digest_id}": Verb("digests show"),
    "notifications PATCH /v1/digests/{digest_id}": Verb("digests edit", DIGEST, SWITCH),
    "notifications DELETE /v1/digests/{digest_id}": Verb("digests delete"),
    "notifications GET /v1/watchlists": Verb("watchlists list", reasons=PAGES),
    "notifications POST /v1/watchlists": Verb("watchlists add"),
    "notifications GET /v1/watchlists/{watchlist_id}": Verb("watchlists show"),
    "notifications PATCH /v1/watchlists/{watchlist_id}": Verb("watchlists edit"),
    "notifications DELETE /v1/watchlists/{watchlist_id}": Verb("watchlists delete"),
    "notifications GET /v1/watchlists/{watchlist_id}/entries": Verb(
        "watchlists entries", reasons=PAGES
    ),
    "notifications POST /v1/watchlists/{watchlist_id}/entries": Verb("watchlists put"),
    "notifications POST /v1/watchlists/{watchlist_id}/entries/remove": Verb("watchlists remove"),
    "notifications POST /v1/watchlists/{watchlist_id}/import": Verb("watchlists import"),
    "mitre POST /v1/loads": Verb("mitre load", {"url": "source"}),
    "mitre GET /v1/loads": Verb("mitre loads", reasons=PAGES),
    "mitre POST /v1/loads/upload": Verb("mitre load", {"name": "source"}),
    "mitre GET /v1/loads/{load_id}": Verb("mitre loads"),
    "mitre GET /v1/sources": Verb("mitre sources"),
    "mitre PATCH /v1/sources/{domain}": Verb("mitre source"),
    "mitre GET /v1/techniques": Verb("mitre search", {"q": "text"}, PAGES),
    "mitre GET /v1/techniques/{attack_id}": Verb("mitre technique"),
    "mitre GET /v1/releases/{domain}/navigator": Verb(
        "mitre navigator", {"technique": "techniques"}
    ),
    "mitre GET /v1/releases": Verb("mitre releases"),
    "mitre GET /v1/releases/{domain}/{version}": Verb("mitre release"),
    "mitre GET /v1/releases/{domain}/{version}/bundle": Verb("mitre release"),
    "scheduler GET /v1/schedules": Verb("schedules list", reasons=PAGES),
    "scheduler POST /v1/schedules": Verb("schedules add", SCHEDULE | {"enabled": "disabled"}),
    "scheduler GET /v1/schedules/{schedule_id}": Verb("schedules show"),
    "scheduler PATCH /v1/schedules/{schedule_id}": Verb("schedules edit", SCHEDULE, SWITCH),
    "scheduler DELETE /v1/schedules/{schedule_id}": Verb("schedules delete"),
    "scheduler POST /v1/schedules/{schedule_id}/run": Verb("schedules run"),
    "scheduler GET /v1/schedules/{schedule_id}/fires": Verb("schedules history", reasons=PAGES),
    "scheduler GET /v1/beats": Verb("schedules beats"),
}

ELSEWHERE: dict[tuple[str, str], Reason] = {
    ("notifications", "/v1/rules/dry-run"): Reason("a rule is added switched off and then tried"),
    ("notifications", "/v1/links"): Reason("readers of messages open it in a browser"),
    ("observables", "/lists/"): Reason("programs fetch lists by an address with a token"),
    ("observables", "/taxii"): Reason("programs of others speak TAXII with it"),
}
"""By service and beginning of the path, what others than the command line are there for."""

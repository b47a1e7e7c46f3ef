"""An installation with something of each kind, and the address of every page about it."""

from collections.abc import Callable, Mapping
from typing import Final

from services.gateway.console.screens.registry import SCREENS
from services.mitre.imports import repository
from services.mitre.imports.execution import execute
from shared.database import PUBLIC, database
from shared.events.feeds import Indicator, IndicatorRelation
from tests.effects.world import World
from tests.mitre.conftest import STARTER
from tests.observables.conftest import chunk, handle

Make = Callable[[World], str]

_VALUE: Final = "login.example.com"
_TECHNIQUE: Final = "T1059"
UNFURNISHED: Final = {"/welcome", "/attack/layers/{domain}"}
"""A page for an empty installation, and a file."""


def _observable(world: World) -> str:
    answer = world.client("observables", "viewer").get("/v1/lookup", params={"value": _VALUE})
    return str(answer.json()["observable"]["id"])


def _enrichment(world: World) -> str:
    body = {"values": [_VALUE, "198.51.100.77"]}
    return str(world.post("observables", "/v1/enrichments", json=body)["id"])


def _parked(world: World) -> str:
    world.parked("feeds")
    return "feeds"


def _paths(pattern: str, make: Make) -> tuple[str, Make]:
    return pattern, lambda world: pattern[: pattern.index("{")] + make(world)


ADDRESSES: Mapping[str, Make] = dict(
    [
        _paths("/enrichments/{request_id}", _enrichment),
        _paths("/observables/{identity}", _observable),
        _paths("/observables/{identity}/graph", lambda world: f"{_observable(world)}/graph"),
        _paths("/feeds/catalog/{slug}", lambda _world: "urlhaus"),
        _paths("/feeds/{feed_id}", World.quarantined_feed),
        _paths("/runs/{run_id}", World.published_run),
        _paths("/attack/techniques/{attack_id}", lambda _world: _TECHNIQUE),
        _paths("/notifications/rules/{rule_id}", World.rule_with_template),
        _paths("/notifications/channels/{channel_id}", World.quiet_channel),
        _paths("/notifications/watchlists/{watchlist_id}", World.watchlist),
        _paths("/notifications/groups/{group_id}", World.group),
        _paths("/notifications/deliveries/{delivery_id}", World.delivery),
        _paths("/lists/{list_id}", World.held_list),
        _paths("/schedules/{schedule_id}", World.schedule),
        _paths("/operations/parked/{service}", _parked),
    ]
)
"""By the path of a page, how its address is made, with what it shows."""


def furnish(world: World) -> list[str]:
    """Make something of each kind, and return the address of every page."""
    _store_attack(world)
    related = (IndicatorRelation("resolves-to", "ipv4-addr", "198.51.100.7"),)
    named = Indicator("domain-name", _VALUE, relations=related, tags=("phishing", _TECHNIQUE))
    handle(database("observables"), chunk(named, Indicator("ipv4-addr", "198.51.100.7")))
    for make in (World.message, World.silence, World.inhibition, World.digest, World.member):
        make(world)
    for make in (World.invitation, World.api_key, World.provider, World.list_consumer):
        make(world)
    addresses = [make(world) for make in ADDRESSES.values()]
    fixed = [screen.path for screen in SCREENS if screen.method == "GET"]
    plain = [path for path in fixed if "{" not in path and path not in UNFURNISHED]
    searches = [f"/search?q={_VALUE}", "/search?q=unknown.example", "/feeds/catalog?q=urlhaus"]
    return [*plain, *addresses, *searches]


def _store_attack(world: World) -> None:
    own = database("mitre")
    world.post("mitre", "/v1/loads/upload", params={"name": "x"}, content=STARTER.read_bytes())
    with own.transaction(PUBLIC) as session:
        waiting = repository.list_open_imports(session)
    for item in waiting:
        execute(own, world.settings, item.id)

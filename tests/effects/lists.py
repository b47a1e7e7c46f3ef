"""The effects of requests about lists, their consumers, and protected values."""

from typing import Any, Final
from uuid import uuid4

from tests.effects.effect import Call, effect_of
from tests.effects.world import World

_FILTER: Final = "observable.score >= 70"


def _consumer(world: World) -> Call:
    body = {"name": uuid4().hex, "list_ids": [world.dissemination_list()]}
    return Call("/v1/list-consumers", json=body)


_ROWS = [
    ("POST", "/v1/lists", "lists.create",
     lambda _: Call("/v1/lists", json={"name": uuid4().hex, "filter": _FILTER})),
    ("PATCH", "/v1/lists/{list_id}", "lists.change",
     lambda w: Call(f"/v1/lists/{w.dissemination_list()}", json={"capacity": 7})),
    ("DELETE", "/v1/lists/{list_id}", "lists.delete",
     lambda w: Call(f"/v1/lists/{w.dissemination_list()}")),
    ("POST", "/v1/lists/{list_id}/release", "lists.release",
     lambda w: Call(f"/v1/lists/{w.held_list()}/release")),
    ("POST", "/v1/protected-values", "lists.protect",
     lambda _: Call("/v1/protected-values", json={"value": f"{uuid4().hex}.example.com"})),
    ("DELETE", "/v1/protected-values", "lists.unprotect",
     lambda w: Call("/v1/protected-values", params={"value": w.protected_value()})),
    ("POST", "/v1/list-consumers", "consumers.create", _consumer),
    ("PATCH", "/v1/list-consumers/{consumer_id}", "consumers.change",
     lambda w: Call(f"/v1/list-consumers/{w.list_consumer()}",
                    json={"networks": ["192.0.2.0/24"]})),
    ("POST", "/v1/list-consumers/{consumer_id}/token", "consumers.renew",
     lambda w: Call(f"/v1/list-consumers/{w.list_consumer()}/token")),
    ("POST", "/v1/list-consumers/{consumer_id}/revoke", "consumers.revoke",
     lambda w: Call(f"/v1/list-consumers/{w.list_consumer()}/revoke")),
    ("DELETE", "/v1/list-consumers/{consumer_id}", "consumers.delete",
     lambda w: Call(f"/v1/list-consumers/{w.list_consumer()}")),
]  # fmt: skip

LIST_EFFECTS: Final = [effect_of("observables", *row) for row in _ROWS]

LIST_FIELDS: Final[dict[tuple[str, str, str], dict[str, dict[str, Any]]]] = {
    ("observables", "PATCH", "/v1/lists/{list_id}"): {
        "name": {"name": "another-name"},
        "description": {"description": "ours"},
        "filter": {"filter": _FILTER},
        "order_by": {"order_by": "value"},
        "capacity": {"capacity": 7},
        "profile": {"profile": "wide"},
        "tlp_ceiling": {"tlp_ceiling": "amber"},
        "grace_seconds": {"grace_seconds": 60},
        "max_growth": {"max_growth": 7},
        "max_shrink": {"max_shrink": None},
        "format_options": {"format_options": {"plain": {}}},
        "is_collection": {"is_collection": True},
    },
    ("observables", "PATCH", "/v1/list-consumers/{consumer_id}"): {
        "name": {"name": "another name"},
        "list_ids": {"list_ids": []},
        "networks": {"networks": ["192.0.2.0/24"]},
        "silent_after_seconds": {"silent_after_seconds": 3_600},
    },
}

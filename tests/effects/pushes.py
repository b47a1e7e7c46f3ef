"""The effects of requests about pushes of collections."""

from typing import Any, Final

from tests.effects.effect import Call, effect_of

_ROWS = [
    ("POST", "/v1/pushes", "pushes.create",
     lambda w: Call("/v1/pushes", json=w.push_body())),
    ("PATCH", "/v1/pushes/{push_id}", "pushes.change",
     lambda w: Call(f"/v1/pushes/{w.push()}", json={"enabled": False})),
    ("DELETE", "/v1/pushes/{push_id}", "pushes.delete",
     lambda w: Call(f"/v1/pushes/{w.push()}")),
]  # fmt: skip

PUSH_EFFECTS: Final = [effect_of("observables", *row) for row in _ROWS]

PUSH_FIELDS: Final[dict[tuple[str, str, str], dict[str, dict[str, Any]]]] = {
    ("observables", "PATCH", "/v1/pushes/{push_id}"): {
        "name": {"name": "another name"},
        "config": {"config": {"url": "http://127.0.0.1:2/other/collections/1/"}},
        "credentials": {"credentials": {"token": "SECRET-OF-A-PUSH"}},
        "enabled": {"enabled": False},
    },
}

"""What requests to the gateway change."""

from uuid import uuid4

from tests.effects.accounts import ACCOUNT_EFFECTS
from tests.effects.effect import Call, Effect, effect_of

_GATEWAY = [
    ("POST", "/v1/tenants", "tenants.create",
     lambda _: Call("/v1/tenants", json={"name": uuid4().hex, "title": "New"})),
    ("PATCH", "/v1/tenants/{tenant}", "tenants.update",
     lambda w: Call(f"/v1/tenants/{w.tenant()}", json={"frozen": True})),
    ("PATCH", "/v1/members/{person_id}", "members.update",
     lambda w: Call(f"/v1/members/{w.member()}", json={"role": "analyst"})),
    ("DELETE", "/v1/members/{person_id}", "members.remove",
     lambda w: Call(f"/v1/members/{w.member()}")),
    ("POST", "/v1/members/{person_id}/reset", "members.let_reset",
     lambda w: Call(f"/v1/members/{w.member()}/reset")),
    ("POST", "/v1/invitations", "invitations.create", lambda _: Call("/v1/invitations", json={})),
    ("DELETE", "/v1/invitations/{invitation_id}", "invitations.withdraw",
     lambda w: Call(f"/v1/invitations/{w.invitation()}")),
    ("POST", "/v1/api-keys", "api_keys.create", lambda w: w.as_member(
        Call("/v1/api-keys", json={"name": "key"}))),
    ("DELETE", "/v1/api-keys/{key_id}", "api_keys.revoke",
     lambda w: Call(f"/v1/api-keys/{w.api_key()}")),
    ("POST", "/v1/api-keys/{key_id}/rotate", "api_keys.rotate",
     lambda w: Call(f"/v1/api-keys/{w.api_key()}/rotate", json={})),
    ("POST", "/v1/providers", "providers.create", lambda _: Call("/v1/providers", json={
        "name": uuid4().hex, "issuer": "https://idp.example", "client_id": "x"})),
    ("PUT", "/v1/providers/{provider_id}/rules", "providers.change_rules",
     lambda w: Call(f"/v1/providers/{w.provider()}/rules", json={"rules": []})),
    ("DELETE", "/v1/providers/{provider_id}", "providers.delete",
     lambda w: Call(f"/v1/providers/{w.provider()}")),
]  # fmt: skip

GATEWAY_EFFECTS: list[Effect] = [
    *(effect_of("gateway", *row) for row in _GATEWAY),
    *ACCOUNT_EFFECTS,
]

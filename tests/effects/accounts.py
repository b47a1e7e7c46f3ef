"""The effects of requests about a person's own account: the way in, sessions, credentials."""

from collections.abc import Callable
from typing import Final

from tests.effects.effect import Call, effect_of
from tests.effects.people import LOGIN, PASSWORD, ask
from tests.effects.world import World
from tests.gateway.credentials.software_authenticator import SoftwareAuthenticator

_OTHER_PASSWORD: Final = "seven grey geese at noon"
_CODES: Final = "/v1/account/one-time-codes"


def _sign_in(world: World) -> Call:
    world.people.person()
    return Call("/v1/sign-in", json={"login": LOGIN, "password": PASSWORD})


def _passkey_sign_in(world: World) -> Call:
    page = world.people.page
    authenticator = SoftwareAuthenticator(page["Origin"])
    person = world.people.person()
    person.passkey(authenticator, page)
    begun = ask(person.client, "POST", "/v1/sign-in/passkey/begin", headers=page)
    credential = authenticator.sign(begun["options"])
    body = {"challenge_id": begun["challenge_id"], "credential": credential}
    return Call("/v1/sign-in/passkey", json=body, headers=page)


def _new_account(world: World) -> Call:
    world.people.free_login()
    body = {"secret": world.people.invitation_secret(), "login": LOGIN, "password": PASSWORD}
    return Call("/v1/sign-in/link/accept", json=body)


def _new_password(world: World) -> Call:
    body = {"secret": world.people.reset_secret(), "password": _OTHER_PASSWORD}
    return Call("/v1/sign-in/link/accept", json=body)


def _passkey(world: World) -> Call:
    page = world.people.page
    body = world.people.person().registration(SoftwareAuthenticator(page["Origin"]), page)
    return Call("/v1/account/passkeys", json=body, headers=page)


def _removed_passkey(world: World) -> Call:
    page = world.people.page
    passkey = world.people.person().passkey(SoftwareAuthenticator(page["Origin"]), page)
    return Call(f"/v1/account/passkeys/{passkey}")


def _secret(path: str, secret: Callable[[World], str]) -> Callable[[World], Call]:
    return lambda world: Call(path, json={"secret": secret(world)})


_WAY_IN = [
    ("POST", "/v1/sign-in", "sessions.begin", _sign_in),
    ("POST", "/v1/sign-in/passkey", "sessions.begin", _passkey_sign_in),
    ("POST", "/v1/sign-in/link", None,
     _secret("/v1/sign-in/link", lambda w: w.people.invitation_secret())),
    ("POST", "/v1/sign-in/link/accept", "invitations.accept", _new_account),
    ("POST", "/v1/sign-in/link/accept", "passwords.reset", _new_password),
]  # fmt: skip

_OWN = [
    ("POST", "/v1/sign-in/link/join", "invitations.accept",
     _secret("/v1/sign-in/link/join", lambda w: w.people.invitation_secret("globex"))),
    ("DELETE", "/v1/session", "sessions.end", lambda _: Call("/v1/session")),
    ("DELETE", "/v1/sessions", "sessions.end_all", lambda _: Call("/v1/sessions")),
    ("DELETE", "/v1/sessions/{session_id}", "sessions.end",
     lambda w: Call(f"/v1/sessions/{w.people.person().session_id}")),
    ("PUT", "/v1/account/password", "passwords.change",
     lambda _: Call("/v1/account/password",
                    json={"present": PASSWORD, "password": _OTHER_PASSWORD})),
    ("POST", f"{_CODES}/confirm", "one_time_codes.confirm",
     lambda w: Call(f"{_CODES}/confirm", json={"code": w.people.person().code()})),
    ("POST", f"{_CODES}/remove", "one_time_codes.remove",
     lambda w: Call(f"{_CODES}/remove", json={"code": w.people.person().recovery_code()})),
    ("POST", "/v1/account/passkeys", "passkeys.add", _passkey),
    ("DELETE", "/v1/account/passkeys/{credential_id}", "passkeys.remove", _removed_passkey),
]  # fmt: skip

ACCOUNT_EFFECTS: Final = [
    *(effect_of("gateway", *row) for row in _WAY_IN),
    *(effect_of("gateway", *row, by_person=True) for row in _OWN),
    effect_of("gateway", "PUT", "/v1/session", "sessions.choose_tenant",
              lambda _: Call("/v1/session", json={"tenant": "acme"}), by_person=True),
    # Nobody is known yet who could stand in an audit: the challenge is of no person, counts for
    # nothing without a passkey that signs it, and is gone after five minutes.
    effect_of("gateway", "POST", "/v1/sign-in/passkey/begin", None,
              lambda w: Call("/v1/sign-in/passkey/begin", headers=w.people.page),
              is_preparation=True),
    effect_of("gateway", "POST", "/v1/account/passkeys/begin", "passkeys.begin",
              lambda w: Call("/v1/account/passkeys/begin", headers=w.people.page),
              by_person=True),
    effect_of("gateway", "POST", _CODES, "one_time_codes.begin", lambda _: Call(_CODES),
              by_person=True),
]  # fmt: skip

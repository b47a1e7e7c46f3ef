"""Signing in at an identity provider, and what is not believed of one."""

import hmac
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import psycopg
import pytest
from joserfc.jwk import RSAKey

from services.gateway.providers.answers import LOGOUT_EVENT
from shared.settings import Settings
from tests.gateway.conftest import Browser
from tests.gateway.providers.hostile_provider import (
    CLIENT_ID,
    CLIENT_SECRET,
    HostileProvider,
    Json,
    encode,
    hostile_provider,
    signed,
    unsigned,
)

BrowserFor = Callable[[], Browser]
PersonFor = Callable[..., Browser]


@pytest.fixture
def provider() -> Iterator[HostileProvider]:
    with hostile_provider() as running:
        yield running


class World:
    """A tenant with a provider."""

    def __init__(self, admin: Browser, provider: HostileProvider, browser_for: BrowserFor) -> None:
        self.admin = admin
        self.provider = provider
        self.browser_for = browser_for
        body = {
            "name": f"p{uuid4().hex[:6]}",
            "issuer": provider.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "rules": [{"claim": "groups", "value": "soc", "role": "analyst"}],
        }
        answer = admin.post("/v1/providers", body)
        assert answer.status_code == 201, answer.text
        assert CLIENT_SECRET not in answer.text
        self.id = answer.json()["id"]

    def begin(self, browser: Browser, next_page: str = "/") -> Json:
        """Go to the provider; return what the browser brings back."""
        query = urlencode({"provider": self.id, "next": next_page})
        answer = browser.client.get(f"/v1/sign-in/provider?{query}", follow_redirects=False)
        assert answer.status_code == 303, answer.text
        sent = dict(parse_qsl(urlsplit(answer.headers["location"]).query))
        assert sent["code_challenge_method"] == "S256"
        self.redirect_uri = sent["redirect_uri"]
        code = self.provider.authorize(sent)
        return {
            "provider": self.id,
            "code": code,
            "state": sent["state"],
            "iss": self.provider.issuer,
        }

    def finish(self, browser: Browser, parameters: Any) -> Any:
        query = urlencode(parameters)
        path = f"/v1/sign-in/provider/callback?{query}"
        return browser.client.get(path, follow_redirects=False)

    def sign_in(self, browser: Browser | None = None) -> Any:
        browser = browser or self.browser_for()
        return self.finish(browser, self.begin(browser))


@pytest.fixture
def world(person: PersonFor, provider: HostileProvider, browser_for: BrowserFor) -> World:
    admin = person(f"a{uuid4().hex[:10]}", f"t{uuid4().hex[:8]}", "admin")
    return World(admin, provider, browser_for)


def test_a_person_signs_in_at_a_provider(world: World) -> None:
    browser = world.browser_for()
    answer = world.finish(browser, world.begin(browser, "/console/feeds"))
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/console/feeds"
    session = browser.get("/v1/session").json()
    assert session["role"] == "analyst"
    assert session["tenant"] == world.admin.session["tenant"]
    assert session["name"] == "Kim"
    [form] = world.provider.forms
    assert form["redirect_uri"] == world.redirect_uri


def test_the_role_follows_the_claims_at_every_sign_in(world: World) -> None:
    browser = world.browser_for()
    assert world.sign_in(browser).status_code == 303
    person_id = browser.get("/v1/session").json()["person_id"]
    world.provider.claims["groups"] = ["staff"]
    refused = world.sign_in()
    assert refused.status_code == 401
    assert "groups = soc: the claim has staff" in refused.json()["title"]
    assert browser.get("/v1/session").status_code == 401, "the session from before has ended"
    [explained] = world.admin.get(f"/v1/members/{person_id}/identities").json()
    assert explained["role"] is None
    assert explained["outcomes"][0]["reason"] == "the claim has staff"
    rules = [{"claim": "groups", "value": "staff", "role": "viewer"}]
    changed = world.admin.request("PUT", f"/v1/providers/{world.id}/rules", json={"rules": rules})
    assert changed.status_code == 200
    again = world.browser_for()
    assert world.sign_in(again).status_code == 303
    session = again.get("/v1/session").json()
    assert (session["person_id"], session["role"]) == (person_id, "viewer")


def test_a_mail_address_links_nobody(world: World, person: PersonFor) -> None:
    tenant = world.admin.session["tenant"]
    victim = person(f"v{uuid4().hex[:8]}@acme.example", tenant, "admin")
    login = victim.session["login"]
    world.provider.claims |= {"email": login, "email_verified": True, "preferred_username": login}
    browser = world.browser_for()
    assert world.sign_in(browser).status_code == 303
    session = browser.get("/v1/session").json()
    assert session["person_id"] != victim.session["person_id"]
    assert session["role"] == "analyst"


def test_another_subject_is_another_person(world: World) -> None:
    people = []
    for subject in ("kim", "lee"):
        world.provider.claims["sub"] = subject
        browser = world.browser_for()
        assert world.sign_in(browser).status_code == 303
        people.append(browser.get("/v1/session").json()["person_id"])
    assert people[0] != people[1]


def test_a_provider_ends_sessions(world: World) -> None:
    world.provider.claims["sid"] = "s1"
    browser = world.browser_for()
    assert world.sign_in(browser).status_code == 303
    path = f"/v1/sign-in/provider/logout?provider={world.id}"

    def logout(**claims: Any) -> int:
        token = {**world.provider.id_claims(), "sid": "s1", "events": {LOGOUT_EVENT: {}}, **claims}
        del token["at_hash"]
        if "nonce" not in claims:
            del token["nonce"]
        body = {"logout_token": world.provider.sign(token)}
        answer = world.browser_for().client.post(path, data=body)
        return int(answer.status_code)

    assert logout(nonce="n") == 401
    assert logout(events={}) == 401
    assert logout(iss="https://evil.example") == 401
    assert logout(sid="another") == 204
    assert browser.get("/v1/session").status_code == 200
    assert logout() == 204
    assert browser.get("/v1/session").status_code == 401


@pytest.mark.parametrize("next_page", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_the_way_back_leads_to_no_other_site(world: World, next_page: str) -> None:
    browser = world.browser_for()
    answer = world.finish(browser, world.begin(browser, next_page))
    assert answer.headers["location"] == "/"


def test_an_admins_rules_make_no_operator(world: World, person: PersonFor) -> None:
    rules = [{"claim": "groups", "value": "soc", "role": "operator"}]
    place = f"/v1/providers/{world.id}/rules"
    assert world.admin.request("PUT", place, json={"rules": rules}).status_code == 403
    stranger = person(f"s{uuid4().hex[:10]}", f"t{uuid4().hex[:8]}", "admin")
    assert stranger.request("PUT", place, json={"rules": []}).status_code == 404
    assert stranger.request("DELETE", f"/v1/providers/{world.id}").status_code == 404


def set_in(part: str, **values: Any) -> Callable[[Json, Json], object]:
    """A change of the header or the claims; None takes a value away."""

    def change(header: Json, claims: Json) -> None:
        target = header if part == "header" else claims
        target.update(values)
        for name in [name for name, value in values.items() if value is None]:
            del target[name]

    return change


OTHER_KEY = RSAKey.generate_key(2048, {"kid": "k1"})


def by_secret_of_public_key(world: World) -> Callable[[Json, Json], str]:
    def forge(header: Json, claims: Json) -> str:
        content = unsigned({**header, "alg": "HS256"}, claims).removesuffix(".")
        public = world.provider.key.as_pem(private=False)
        return f"{content}.{encode(hmac.digest(public, content.encode(), 'sha256'))}"

    return forge


def by_other_key(header: Json, claims: Json) -> str:
    return signed(header, claims, OTHER_KEY)


def embedded(header: Json, claims: Json) -> str:
    header = {**header, "jwk": OTHER_KEY.as_dict(private=False)}
    return signed(header, claims, OTHER_KEY)


FORGED_TOKENS: list[tuple[str, str, Any]] = [
    ("none", "algorithm", lambda h, c: unsigned({**h, "alg": "none"}, c)),
    ("None", "algorithm", lambda h, c: unsigned({**h, "alg": "None"}, c)),
    ("another key", "signature", by_other_key),
    ("an embedded key", "header-jwk", embedded),
    ("an address of keys", "header-jku", set_in("header", jku="https://evil.example/keys")),
    ("an address of certificates", "header-x5u", set_in("header", x5u="https://evil.example")),
    ("a certificate", "header-x5c", set_in("header", x5c=["AAAA"])),
    ("rules of its own", "header-crit", set_in("header", crit=["b64"])),
    ("a key that nobody has", "key-unknown", set_in("header", kid="../../dev/null")),
    ("another algorithm", "algorithm", lambda h, c: unsigned({**h, "alg": "ES256"}, c)),
    ("no signature", "signature", unsigned),
    ("another issuer", "issuer", set_in("claims", iss="https://evil.example")),
    ("no issuer", "issuer", set_in("claims", iss=None)),
    ("another audience", "audience", set_in("claims", aud="other")),
    ("no audience", "audience", set_in("claims", aud=None)),
    ("several audiences", "authorized-party", set_in("claims", aud=[CLIENT_ID, "other"])),
    ("another party", "authorized-party", set_in("claims", azp="other")),
    ("another nonce", "nonce", set_in("claims", nonce="another")),
    ("no nonce", "nonce", set_in("claims", nonce=None)),
    ("an old token", "expired", set_in("claims", exp=1)),
    ("a time to come", "early", set_in("claims", iat=4_000_000_000)),
    ("an early start", "early", set_in("claims", nbf=4_000_000_000)),
    ("a token of yesterday", "old", set_in("claims", iat=1_700_000_000)),
    ("a text as the time", "times", set_in("claims", exp="tomorrow")),
    ("no end", "times", set_in("claims", exp=None)),
    ("no subject", "subject", set_in("claims", sub=None)),
    ("a number as the subject", "subject", set_in("claims", sub=7)),
    ("a long subject", "subject", set_in("claims", sub="x" * 300)),
    ("another access token", "access-token-hash", set_in("claims", at_hash="AAAA")),
    ("a number as the hash", "access-token-hash", set_in("claims", at_hash=7)),
    ("no token", "no-token", lambda *_: ""),
    ("two parts", "no-token", lambda *_: "e30.e30"),
    ("claims that are a list", "no-claims", "list"),
]


@pytest.mark.parametrize(
    ("reason", "forgery"),
    [(reason, forgery) for _, reason, forgery in FORGED_TOKENS],
    ids=[name for name, _, _ in FORGED_TOKENS],
)
def test_a_forged_token_is_refused_with_its_reason(
    world: World, reason: str, forgery: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    provider = world.provider
    if forgery == "list":
        provider.forge = lambda header, _: signed(header, [], provider.key)
    elif getattr(forgery, "__name__", "") == "change":
        provider.change = forgery
    else:
        provider.forge = forgery
    answer = world.sign_in()
    assert answer.status_code == 401, answer.text
    assert answer.json()["reason"] == reason
    assert "set-cookie" not in answer.headers
    assert f"reason={reason}" in capfd.readouterr().out


def test_a_public_key_is_no_secret(world: World) -> None:
    world.provider.forge = by_secret_of_public_key(world)
    answer = world.sign_in()
    assert (answer.status_code, answer.json()["reason"]) == (401, "algorithm")


FORGED_ANSWERS: list[tuple[str, str, Callable[[Json], Any]]] = [
    ("another state", "state-unknown", lambda p: {**p, "state": "another"}),
    ("no state", "state-unknown", lambda p: {n: v for n, v in p.items() if n != "state"}),
    ("another issuer", "issuer-of-answer", lambda p: {**p, "iss": "https://evil.example"}),
    ("no issuer", "issuer-missing", lambda p: {n: v for n, v in p.items() if n != "iss"}),
    ("another provider", "mix-up", lambda p: {**p, "provider": str(uuid4())}),
    ("no code", "no-code", lambda p: {**p, "code": ""}),
    ("a code of nobody", "code", lambda p: {**p, "code": "another"}),
    ("two codes", "repeated-parameter", lambda p: [*p.items(), ("code", "another")]),
    ("an error", "provider-error", lambda p: {**p, "error": "access_denied"}),
]


@pytest.mark.parametrize(
    ("reason", "forgery"),
    [(reason, forgery) for _, reason, forgery in FORGED_ANSWERS],
    ids=[name for name, _, _ in FORGED_ANSWERS],
)
def test_a_forged_answer_is_refused_with_its_reason(
    world: World,
    reason: str,
    forgery: Callable[[Json], Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    browser = world.browser_for()
    answer = world.finish(browser, forgery(world.begin(browser)))
    assert answer.status_code == 401, answer.text
    assert answer.json()["reason"] == reason
    assert f"reason={reason}" in capfd.readouterr().out


def test_an_answer_counts_once_and_in_its_own_browser(world: World) -> None:
    browser = world.browser_for()
    parameters = world.begin(browser)
    other = world.finish(world.browser_for(), parameters)
    assert other.json()["reason"] == "other-browser"
    assert world.finish(browser, parameters).json()["reason"] == "state-unknown", "it is used up"
    parameters = world.begin(browser)
    assert world.finish(browser, parameters).status_code == 303
    assert world.finish(browser, parameters).json()["reason"] == "state-unknown"


def test_a_description_of_another_issuer_is_refused(world: World) -> None:
    world.provider.description = {"issuer": "https://evil.example"}
    answer = world.browser_for().client.get(f"/v1/sign-in/provider?provider={world.id}")
    assert (answer.status_code, answer.json()["reason"]) == (401, "issuer-of-description")
    world.provider.description = {"token_endpoint": "file:///etc/passwd"}
    answer = world.browser_for().client.get(f"/v1/sign-in/provider?provider={world.id}")
    assert (answer.status_code, answer.json()["reason"]) == (401, "description")


def test_a_provider_vouches_for_its_own_tenant_alone(
    world: World, browser_for: BrowserFor, operator: Callable[[str], Browser], environment: Settings
) -> None:
    kim = browser_for()
    assert world.sign_in(kim).status_code == 303
    kim.session = kim.get("/v1/session").json()
    tenant = f"other{uuid4().hex[:6]}"
    link = operator(tenant).post("/v1/invitations", {"role": "admin"}).json()["link"]
    body = {"secret": link.partition("#")[2]}
    refusal = kim.post("/v1/sign-in/link/join", body)
    assert refusal.status_code == 403
    assert "own tenant" in refusal.json()["title"]
    # However the person came to be a member elsewhere: the provider's session does not tell of it.
    with psycopg.connect(environment.database_url.get_secret_value(), autocommit=True) as admin:
        admin.execute(
            "INSERT INTO gateway.member (tenant, person_id, role, origin, created_by) "
            "VALUES (%s, %s, 'operator', 'invitation', 'x')",
            (tenant, kim.session["person_id"]),
        )
    again = browser_for()
    assert world.sign_in(again).status_code == 303
    again.session = again.get("/v1/session").json()
    own = world.admin.session["tenant"]
    assert [entry["tenant"] for entry in again.session["tenants"]] == [own]
    elsewhere = {"Sentineliq-Tenant": tenant}
    assert again.get("/v1/members", headers=elsewhere).status_code == 403
    assert again.get("/v1/tenants").status_code == 403


def test_a_deleted_providers_sessions_end(world: World, browser_for: BrowserFor) -> None:
    kim = browser_for()
    assert world.sign_in(kim).status_code == 303
    assert kim.get("/v1/session").status_code == 200
    assert world.admin.request("DELETE", f"/v1/providers/{world.id}").status_code == 204
    assert kim.get("/v1/session").status_code == 401

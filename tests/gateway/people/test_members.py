"""Members and tenants: nobody grants, changes or sees more than they hold."""

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.settings import Settings
from tests.gateway.conftest import Browser
from tests.gateway.sign_in.test_sign_in import execute

BrowserFor = Callable[[], Browser]
PersonFor = Callable[..., Browser]
OperatorOf = Callable[[str], Browser]


def new_login() -> str:
    return f"p{uuid4().hex[:10]}@acme.example"


def new_tenant() -> str:
    return f"t{uuid4().hex[:10]}"


def test_an_admin_invites_lists_and_removes(person: PersonFor, browser_for: BrowserFor) -> None:
    tenant = new_tenant()
    admin = person(new_login(), tenant, "admin")
    created = admin.post("/v1/invitations", {"role": "viewer"}).json()
    second = browser_for()
    login = new_login()
    assert second.accept(created["link"], login).status_code == 200
    members = admin.get("/v1/members").json()["items"]
    assert {(member["login"], member["role"]) for member in members} == {
        (admin.session["login"], "admin"),
        (login, "viewer"),
    }
    accepted = admin.get("/v1/invitations").json()["items"][0]
    assert (accepted["accepted_by"], accepted["created_by"]) == (login, admin.session["login"])
    place = f"/v1/members/{second.session['person_id']}"
    changed = admin.request("PATCH", place, json={"role": "analyst"})
    assert changed.json()["role"] == "analyst"
    assert admin.request("DELETE", place).status_code == 204
    assert second.get("/v1/sessions").status_code == 401, "a member no more"
    assert admin.request("DELETE", place).status_code == 404


def test_a_frozen_member_may_do_nothing(person: PersonFor) -> None:
    tenant = new_tenant()
    admin = person(new_login(), tenant, "admin")
    member = person(new_login(), tenant)
    place = f"/v1/members/{member.session['person_id']}"
    frozen = admin.request("PATCH", place, json={"frozen": True}).json()
    assert (frozen["is_active"], frozen["frozen_at"] is not None) == (False, True)
    assert member.get("/v1/sessions").status_code == 401
    assert admin.request("PATCH", place, json={"frozen": False}).json()["is_active"]
    assert member.get("/v1/sessions").status_code == 200


def test_a_frozen_tenant_may_do_nothing(person: PersonFor, operator: OperatorOf) -> None:
    tenant = new_tenant()
    admin = person(new_login(), tenant, "admin")
    assert admin.get("/v1/members").status_code == 200
    root = operator(tenant)
    assert root.request("PATCH", f"/v1/tenants/{tenant}", json={"frozen": True}).status_code == 200
    member = person_after_a_second(admin)
    assert member.status_code == 401
    assert root.request("PATCH", f"/v1/tenants/{tenant}", json={"frozen": False}).status_code == 200


def person_after_a_second(browser: Browser) -> Any:
    """The answer once the gateway has read anew who the person is."""
    time.sleep(1.1)
    return browser.get("/v1/members")


@pytest.mark.parametrize("role", ["viewer", "analyst"])
def test_who_is_no_admin_manages_nobody(person: PersonFor, role: str) -> None:
    browser = person(new_login(), role=role)
    own = browser.session["person_id"]
    assert browser.get("/v1/members").status_code == 403
    assert browser.post("/v1/invitations", {}).status_code == 403
    answer = browser.request("PATCH", f"/v1/members/{own}", json={"role": "admin"})
    assert answer.status_code == 403


def test_an_admin_makes_no_operator_and_touches_none(person: PersonFor) -> None:
    tenant = new_tenant()
    admin = person(new_login(), tenant, "admin")
    root = person(new_login(), tenant, "operator")
    assert admin.post("/v1/invitations", {"role": "operator"}).status_code == 403
    own = f"/v1/members/{admin.session['person_id']}"
    assert admin.request("PATCH", own, json={"role": "operator"}).status_code == 403
    place = f"/v1/members/{root.session['person_id']}"
    assert admin.request("PATCH", place, json={"role": "viewer"}).status_code == 403
    assert admin.request("DELETE", place).status_code == 403
    assert admin.post(f"{place}/reset").status_code == 403
    assert admin.get("/v1/tenants").status_code == 403


def test_a_tenants_last_admin_stays(person: PersonFor) -> None:
    tenant = new_tenant()
    admin = person(new_login(), tenant, "admin")
    own = f"/v1/members/{admin.session['person_id']}"
    assert admin.request("PATCH", own, json={"role": "viewer"}).status_code == 409
    assert admin.request("PATCH", own, json={"frozen": True}).status_code == 409
    assert admin.request("DELETE", own).status_code == 409
    person(new_login(), tenant, "admin")
    assert admin.request("DELETE", own).status_code == 204


def test_an_operator_does_not_take_the_own_last_role(
    person: PersonFor, operator: OperatorOf, environment: Settings
) -> None:
    execute(environment, "UPDATE gateway.member SET role = 'admin' WHERE role = 'operator'")
    tenant = new_tenant()
    olga = person(new_login(), tenant, "operator")
    own = f"/v1/members/{olga.session['person_id']}"
    assert olga.request("PATCH", own, json={"role": "viewer"}).status_code == 409
    assert olga.request("PATCH", own, json={"frozen": True}).status_code == 409
    assert olga.request("DELETE", own).status_code == 409
    person(new_login(), tenant, "admin")
    refused = olga.request("PATCH", own, json={"role": "admin"})
    assert refused.status_code == 409
    assert "last operator" in refused.json()["title"]
    person(new_login(), new_tenant(), "operator")
    assert olga.request("PATCH", own, json={"role": "admin"}).status_code == 200
    root = operator(tenant)
    assert root.request("DELETE", own).status_code == 204, "the command line may"


def test_another_tenants_ids_are_those_that_do_not_exist(person: PersonFor) -> None:
    admin = person(new_login(), new_tenant(), "admin")
    stranger = person(new_login(), new_tenant(), "admin")
    invitation = stranger.post("/v1/invitations", {}).json()["invitation"]["id"]
    answers = []
    for person_id, invitation_id in (
        (stranger.session["person_id"], invitation),
        (UUID(int=1), UUID(int=1)),
    ):
        statuses = [
            admin.request("PATCH", f"/v1/members/{person_id}", json={"role": "viewer"}).status_code,
            admin.request("DELETE", f"/v1/members/{person_id}").status_code,
            admin.post(f"/v1/members/{person_id}/reset").status_code,
            admin.request("DELETE", f"/v1/invitations/{invitation_id}").status_code,
        ]
        answers.append(statuses)
    assert answers == [[404] * 4] * 2
    assert stranger.session["login"] not in admin.get("/v1/members").text


def test_a_person_joins_a_second_tenant_and_says_which(
    person: PersonFor, operator: OperatorOf
) -> None:
    first = new_tenant()
    second = new_tenant()
    browser = person(new_login(), first, "admin")
    link = operator(second).post("/v1/invitations", {"role": "viewer"}).json()["link"]
    joined = browser.post("/v1/sign-in/link/join", {"secret": link.partition("#")[2]})
    assert joined.status_code == 200, joined.text
    assert {entry["tenant"] for entry in joined.json()["tenants"]} == {first, second}
    header = {"Sentineliq-Tenant": second}
    assert browser.get("/v1/members").status_code == 200
    assert browser.get("/v1/members", headers=header).status_code == 403, "a viewer there"
    assert browser.get("/v1/session", headers=header).json()["role"] == "viewer"
    chosen = browser.request("PUT", "/v1/session", json={"tenant": second})
    assert chosen.json()["tenant"] == second
    third = new_tenant()
    assert browser.request("PUT", "/v1/session", json={"tenant": third}).status_code == 403


def test_an_invitation_for_another_login_is_refused(
    person: PersonFor, operator: OperatorOf
) -> None:
    browser = person(new_login())
    body = {"role": "viewer", "login": new_login()}
    link = operator(new_tenant()).post("/v1/invitations", body).json()["link"]
    answer = browser.post("/v1/sign-in/link/join", {"secret": link.partition("#")[2]})
    assert answer.status_code == 401


def test_a_login_that_is_in_use_is_not_taken_over(
    person: PersonFor, operator: OperatorOf, browser_for: BrowserFor
) -> None:
    login = new_login()
    person(login, role="admin")
    link = operator(new_tenant()).post("/v1/invitations", {"role": "admin"}).json()["link"]
    assert browser_for().accept(link, login).status_code == 409


def test_a_withdrawn_invitation_opens_nothing(
    operator: OperatorOf, browser_for: BrowserFor
) -> None:
    root = operator(new_tenant())
    created = root.post("/v1/invitations", {}).json()
    place = f"/v1/invitations/{created['invitation']['id']}"
    assert root.request("DELETE", place).status_code == 204
    assert browser_for().accept(created["link"], new_login()).status_code == 401


@pytest.mark.parametrize("change", ["removed", "demoted", "frozen"])
def test_an_invitation_ends_with_its_makers_right_to_it(
    person: PersonFor, browser_for: BrowserFor, change: str
) -> None:
    tenant = new_tenant()
    head = person(new_login(), tenant, "admin")
    maker = person(new_login(), tenant, "admin")
    link = maker.post("/v1/invitations", {"role": "admin"}).json()["link"]
    harmless = maker.post("/v1/invitations", {"role": "viewer"}).json()["link"]
    place = f"/v1/members/{maker.session['person_id']}"
    if change == "removed":
        assert head.request("DELETE", place).status_code == 204
    else:
        patch = {"role": "viewer"} if change == "demoted" else {"frozen": True}
        assert head.request("PATCH", place, json=patch).status_code == 200
    assert browser_for().accept(link, new_login()).status_code == 401
    # What the maker may still grant goes on.
    expected = 200 if change == "demoted" else 401
    assert browser_for().accept(harmless, new_login()).status_code == expected

"""People who sign in to the gateway, and what is theirs."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

import pyotp
from starlette.testclient import TestClient

from tests.gateway.credentials.software_authenticator import SoftwareAuthenticator

LOGIN: Final = "kim@acme.example"
PASSWORD: Final = "nine blue herons at dawn"
_ACCEPT: Final = "/v1/sign-in/link/accept"
_INVITE: Final = "/v1/invitations"


class Person:
    """Somebody who has signed in on the command line, and is a viewer in a tenant.

    Args:
        client: of a stranger; it has the session from now on.
        operator: who invites the person.
        login: that nobody has.
    """

    def __init__(self, client: TestClient, operator: TestClient, login: str) -> None:
        self.client = client
        link = ask(operator, "POST", _INVITE, json={"role": "viewer"})["link"]
        body = {"secret": secret_of(link), "login": login, "password": PASSWORD}
        answer = ask(client, "POST", _ACCEPT, json={**body, "device": "command-line"})
        self.id = str(answer["session"]["person_id"])
        self.session_id = str(answer["session"]["session_id"])
        self.token = str(answer["token"])
        client.headers["Authorization"] = f"Bearer {self.token}"

    def code(self) -> str:
        """A one-time code, whose secret counts when it is confirmed."""
        secret = ask(self.client, "POST", "/v1/account/one-time-codes")["secret"]
        return pyotp.TOTP(secret).now()

    def recovery_code(self) -> str:
        """A recovery code; the sign-in asks for codes from now on."""
        body = {"code": self.code()}
        answer = ask(self.client, "POST", "/v1/account/one-time-codes/confirm", json=body)
        return str(answer["codes"][0])

    def registration(
        self, authenticator: SoftwareAuthenticator, page: dict[str, str]
    ) -> dict[str, Any]:
        """The body that adds a passkey."""
        begun = ask(self.client, "POST", "/v1/account/passkeys/begin", headers=page)
        credential = authenticator.make(begun["options"])
        return {"challenge_id": begun["challenge_id"], "credential": credential, "name": "phone"}

    def passkey(self, authenticator: SoftwareAuthenticator, page: dict[str, str]) -> str:
        """The id of a passkey."""
        body = self.registration(authenticator, page)
        added = ask(self.client, "POST", "/v1/account/passkeys", json=body, headers=page)
        return str(added["id"])


class People:
    """The people of an installation.

    Args:
        client_for: makes clients: of a service, a role (None has no token), a tenant.
        execute: runs a statement of a superuser.
        address: of the gateway.
    """

    def __init__(
        self, client_for: Callable[..., TestClient], execute: Callable[..., Any], address: str
    ) -> None:
        port = urlsplit(address).port
        # A browser's headers on this machine: passkeys are bound to the name.
        self.page = {"Origin": f"http://localhost:{port}", "Host": f"localhost:{port}"}
        self._client_for = client_for
        self._execute = execute
        self._people: dict[str, Person] = {}

    def operator(self, tenant: str) -> TestClient:
        """Who runs the installation, in a tenant."""
        return self._client_for("gateway", tenant=tenant, role="operator")

    def person(self, tenant: str = "acme") -> Person:
        """The same person each time, with an account that nothing was done with before."""
        if tenant not in self._people:
            login = LOGIN if tenant == "acme" else f"lee@{tenant}.example"
            self.free_login(login)
            stranger = self._client_for("gateway", role=None)
            self._people[tenant] = Person(stranger, self.operator(tenant), login)
        return self._people[tenant]

    def free_login(self, login: str = LOGIN) -> None:
        """Let an account that another test has made go by another name."""
        statement = "UPDATE gateway.person SET login = %s WHERE login = %s"
        self._execute(statement, f"{uuid4().hex}@acme.example", login)

    def invitation_secret(self, tenant: str = "acme") -> str:
        """The secret of an open invitation."""
        return secret_of(ask(self.operator(tenant), "POST", _INVITE, json={})["link"])

    def reset_secret(self) -> str:
        """The secret of a link with which the person chooses a new password."""
        path = f"/v1/members/{self.person().id}/reset"
        return secret_of(ask(self.operator("acme"), "POST", path)["link"])


def ask(client: TestClient, method: str, path: str, **options: Any) -> dict[str, Any]:
    """What a request answers that succeeds."""
    answer = client.request(method, path, **options)
    assert answer.is_success, answer.text
    body: dict[str, Any] = answer.json()
    return body


def secret_of(link: str) -> str:
    """The secret of a link, which stands behind its number sign."""
    return link.partition("#")[2]

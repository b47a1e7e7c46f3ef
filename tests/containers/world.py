"""The containers, with what is outside of them: a provider, a receiver, and a person."""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
from pydantic import SecretStr

from shared.auth import issue_token
from tests.containers.installation import Containers
from tests.faults.receivers import Outside, ServedList

_ANSWER_SECONDS = 90.0
_NOTICE_SECONDS = 90.0


@dataclass
class World:
    """The containers and their surroundings.

    Attributes:
        containers: run.
        outside: a provider of lists and a receiver of webhooks, on this machine.
        variables: those of `.env`.
    """

    containers: Containers
    outside: Outside
    variables: dict[str, str]
    _lists: int = field(default=0)

    def ask(self, service: str, method: str, path: str, **arguments: Any) -> Any:
        """The body of a success, however often it takes while the service comes back."""
        secret = SecretStr(self.variables["SENTINELIQ_SECRET_KEY"])
        token = issue_token(secret, actor="kim@acme.example", tenant="acme", role="admin")
        headers = {"Authorization": f"Bearer {token}"}
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                port = self.containers.published_port(f"{service}-api")
                url = f"http://127.0.0.1:{port}{path}"
                response = httpx2.request(
                    method, url, headers=headers, trust_env=False, timeout=20, **arguments
                )
                if response.status_code < 500:
                    assert response.is_success, response.text
                    return response.json()
                reason = response.text
            except (httpx2.TransportError, ValueError) as error:
                reason = repr(error)
            assert time.monotonic() < deadline, f"{service} {path} does not come back: {reason}"
            time.sleep(0.3)

    def subscribe(self, hook: str) -> None:
        """Let everything new be told to a webhook.

        Args:
            hook: its path, which begins with /hook/.
        """
        config = {"url": self.outside.url + hook}
        channel = {"name": hook, "kind": "webhook", "config": config}
        channel_id = self.ask("notifications", "POST", "/v1/channels", json=channel)["id"]
        # Each event by itself: of many sources at once a summary would tell after minutes.
        rule = {
            "name": hook,
            "channel_ids": [channel_id],
            "types": ["ipv4-addr"],
            "group_by": ["event"],
        }
        self.ask("notifications", "POST", "/v1/rules", json=rule)

    def serve_list(self, value: str) -> str:
        """Subscribe to a new list of one value, and let it be fetched; the feed's id."""
        self._lists += 1
        path = f"/list/{self._lists}"
        self.outside.lists[path] = ServedList([value])
        body = {
            "name": f"list {self._lists}",
            "url": self.outside.url + path,
            "format": "text",
            "every_seconds": 3600,
        }
        feed = str(self.ask("feeds", "POST", "/v1/feeds", json=body)["id"])
        self.ask("feeds", "POST", f"/v1/feeds/{feed}/runs")
        return feed

    def upload(self, value: str) -> None:
        """Upload a new list of one value."""
        self._lists += 1
        parameters = {"name": f"upload {self._lists}", "format": "text"}
        content = f"{value}\n".encode()
        self.ask("feeds", "POST", "/v1/ingest", params=parameters, content=content)

    def await_notices(self, hook: str, values: list[str]) -> None:
        """Wait until webhooks have told of all values."""
        deadline = time.monotonic() + _NOTICE_SECONDS
        while missing := self._untold(hook, values):
            assert time.monotonic() < deadline, f"no webhook has told of {missing}"
            time.sleep(0.3)

    def _untold(self, hook: str, values: list[str]) -> list[str]:
        text = json.dumps(list(self.outside.book.bodies[hook].values()))
        return [value for value in values if f'"{value}"' not in text]

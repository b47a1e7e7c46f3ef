"""The Jira channel: an issue for each group, comments for what follows.

Jira takes repeated issues as new ones, so each carries a label by which it is found again. Cloud
(API v3) takes the Atlassian Document Format, Data Center (API v2) its wiki markup. Source:
https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issues/ and
https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from base64 import b64encode
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.jira_document import document_of
from services.notifications.channel_types.markup import WIKI, compose
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

MAX_CHARACTERS: Final = 32_767
"""Of a description or a comment; Jira Cloud counts the document's JSON."""
MAX_SUMMARY: Final = 250
_COMMENTS: Final = 50


class JiraConfig(BaseModel):
    """The project, and how its issues are made and closed."""

    model_config = ConfigDict(extra="forbid")

    url: str = Field(min_length=1, max_length=500, title="Address, without a path")
    project: str = Field(pattern=r"^[A-Z][A-Z0-9_]{1,20}$", title="Project key")
    issue_type: str = Field(default="Task", min_length=1, max_length=60)
    api: Literal["3", "2"] = Field(default="3", title="3 for Cloud, 2 for Data Center")
    close_transition: str | None = Field(
        default=None, pattern=r"^[0-9]{1,10}$", title="Id of the transition that closes an issue"
    )


class JiraCredentials(BaseModel):
    """A user and an API token; without a user a personal access token of Data Center."""

    model_config = ConfigDict(extra="forbid")

    user: str | None = Field(default=None, min_length=1, max_length=200)
    token: str = Field(min_length=5, max_length=1000, pattern=r"^[\x21-\x7e]+$")


class JiraChannel:
    """Creates issues and comments, and looks for them before it repeats one."""

    name: ClassVar[str] = "jira"
    config: type[JiraConfig] = JiraConfig
    credentials: type[JiraCredentials] = JiraCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(characters=MAX_CHARACTERS)

    async def check(self, config: JiraConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse an address that no attempt may reach."""
        await exchange.check_target(config.url, allow, "config.url")

    def render(self, notification: Notification, config: JiraConfig) -> RenderedMessage:
        """The issue, or the comment."""
        body, shown = wording.fit(
            notification,
            lambda count: _body(notification, count, config.api),
            lambda body: _size(body) <= MAX_CHARACTERS,
        )
        document: dict[str, Any] = {"body": body}
        if not _is_comment(notification):
            document = {"fields": _fields(notification, config, body)}
        return RenderedMessage((exchange.encode(document),), "application/json", shown)

    async def send(
        self,
        notification: Notification,
        config: JiraConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Create an issue, or comment on the group's; the receipt is the issue's key.

        Raises:
            UpstreamError: Jira did not accept it.
        """
        content = self.render(notification, config).parts[0]
        path = "issue"
        if _is_comment(notification):
            path = f"issue/{notification.receipt}/comment"
        response = await exchange.send_json(
            client, _address(config, path), content, auth_headers=_auth(secret)
        )
        exchange.raise_unless_accepted(response)
        key = notification.receipt or exchange.answer_json(response).get("key")
        return exchange.receipt_of(response, str(key) if key else None)

    async def update(
        self,
        notification: Notification,
        config: JiraConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Comment on the group's issue; as `send` without a receipt."""
        return await self.send(notification, config, secret, client)

    async def close(
        self,
        notification: Notification,
        config: JiraConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Comment on the group's issue, and close it if the configuration says how."""
        if notification.receipt and config.close_transition:
            # First: a comment that is repeated is found, a transition that is repeated is refused.
            content = exchange.encode({"transition": {"id": config.close_transition}})
            path = _address(config, f"issue/{notification.receipt}/transitions")
            response = await exchange.send_json(client, path, content, auth_headers=_auth(secret))
            if response.status not in (400, 409):
                exchange.raise_unless_accepted(response)
        return await self.send(notification, config, secret, client)

    async def find(
        self,
        notification: Notification,
        config: JiraConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt | None:
        """Look for the issue by its label, or for the comment by the id that it carries."""
        if _is_comment(notification):
            path = f"issue/{notification.receipt}/comment?maxResults={_COMMENTS}&orderBy=-created"
            answer = await exchange.get_json(
                client, _address(config, path), auth_headers=_auth(secret)
            )
            texts = [str(comment) for comment in answer.get("comments", ())]
            # The wiki markup escapes the hyphens.
            plain = [text.replace("\\", "") for text in texts]
            is_there = any(str(notification.id) in text for text in plain)
            return Receipt(200, notification.receipt, "found in a comment") if is_there else None
        query = f'project = "{config.project}" AND labels = "{_label(notification)}"'
        path = "search/jql" if config.api == "3" else "search"
        content = exchange.encode({"jql": query, "fields": ["key"], "maxResults": 1})
        response = await exchange.send_json(
            client, _address(config, path), content, auth_headers=_auth(secret)
        )
        exchange.raise_unless_accepted(response)
        issues = exchange.answer_json(response).get("issues") or []
        return Receipt(200, str(issues[0]["key"]), "found by its label") if issues else None


def _is_comment(notification: Notification) -> bool:
    return notification.receipt is not None and notification.kind in ("update", "close", "reminder")


def _body(notification: Notification, count: int, api: str) -> dict[str, Any] | str:
    if api == "2":
        return compose(notification, count, WIKI)
    return document_of(notification, count)


def _size(body: dict[str, Any] | str) -> int:
    return wording.utf16_length(body if isinstance(body, str) else exchange.encode(body).decode())


def _fields(notification: Notification, config: JiraConfig, body: object) -> dict[str, Any]:
    return {
        "project": {"key": config.project},
        "issuetype": {"name": config.issue_type},
        "summary": wording.single_line(wording.headline(notification), MAX_SUMMARY),
        "description": body,
        "labels": ["sentineliq", _label(notification)],
    }


def _label(notification: Notification) -> str:
    return f"sentineliq-{notification.group_id or notification.id}"


def _address(config: JiraConfig, path: str) -> str:
    return f"{config.url.rstrip('/')}/rest/api/{config.api}/{path}"


def _auth(secret: str | None) -> dict[str, str]:
    credentials = exchange.credentials_of(JiraCredentials, secret)
    if credentials.user is None:
        return {"authorization": f"Bearer {credentials.token}"}
    pair = b64encode(f"{credentials.user}:{credentials.token}".encode()).decode()
    return {"authorization": f"Basic {pair}"}

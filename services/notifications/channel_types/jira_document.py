"""A notification in the Atlassian Document Format: text nodes are plain, nothing in them mentions.

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/
"""

from typing import Any

from services.notifications.channel_types import wording
from services.notifications.channel_types.base import Notification
from services.notifications.channel_types.markup import template_lines


def document_of(notification: Notification, count: int) -> dict[str, Any]:
    """The document with the first so many matches."""
    content = [_paragraph(_text(wording.headline(notification), "strong"))]
    if notification.text is None:
        content += [
            _paragraph(_text(f"{name}: {text}")) for name, text in wording.facts(notification)
        ]
        content += _matches(notification, count)
        rest = wording.left_out(notification, count)
        content += [_paragraph(_text(rest))] if rest else []
    else:
        content += [_paragraph(_text(line)) for line in template_lines(notification.text) if line]
    content.append(_paragraph(_link("All matches", notification.url)))
    if notification.acknowledge_url:
        content.append(_paragraph(_link("Acknowledge", notification.acknowledge_url)))
    content.append(_paragraph(_text(f"Notification {notification.id}")))
    return {"type": "doc", "version": 1, "content": content}


def _matches(notification: Notification, count: int) -> list[dict[str, Any]]:
    items = []
    for entry in wording.entries(notification)[:count]:
        nodes = [_text(entry.value or "(empty)", "code")]
        if entry.detail:
            nodes.append(_text(f" {entry.detail}"))
        items.append({"type": "listItem", "content": [_paragraph(*nodes)]})
    return [{"type": "bulletList", "content": items}] if items else []


def _paragraph(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"type": "paragraph", "content": list(nodes)}


def _text(text: str, mark: str | None = None) -> dict[str, Any]:
    node: dict[str, Any] = {"type": "text", "text": text}
    return {**node, "marks": [{"type": mark}]} if mark else node


def _link(label: str, url: str) -> dict[str, Any]:
    return {
        "type": "text",
        "text": label,
        "marks": [{"type": "link", "attrs": {"href": url}}],
    }

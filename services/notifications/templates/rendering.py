"""What a template writes of a notification.

The template runs in a limited child process (`rendering_job`); what others have written reaches it
defanged, and each channel escapes what it writes.
"""

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import UUID

import msgspec

from services.notifications.channel_types import wording
from services.notifications.channel_types.base import Notification
from services.notifications.templates.rendering_job import TemplateOrder, rendering_job
from services.notifications.topics import EVENT_TOPICS
from shared.errors import InvalidInput
from shared.sandbox.limits import MIB, JobLimits, SandboxLimitExceeded, SandboxLimits
from shared.sandbox.pool import SandboxPool

_SERVICE: Final = "notifications"
_LIMITS: Final = SandboxLimits(memory=96 * MIB)
_JOB_LIMITS: Final = JobLimits(seconds=0.05, wall_seconds=5, result=128 * 1024)
_MAX_DEPTH: Final = 4
WITHOUT_TEXT: Final = frozenset({"file", "kafka", "log", "misp", "syslog", "webhook"})
"""Kinds of channels for programs, whose documents have no place for words."""
_CAUSES: Final = {
    "processor-time": "it takes more than 0.05 seconds of processor time",
    "wall-clock": "it takes too long",
    "memory": "it takes too much memory",
    "result": "it writes too much",
}

_SAMPLE: Final = Notification(
    id=UUID(int=1),
    tenant="sample",
    rule_id=UUID(int=2),
    rule="Sample rule",
    source="sample feed",
    match_count=2,
    matches=[
        {
            "id": "ipv4-addr--00000000-0000-5000-8000-000000000001",
            "type": "ipv4-addr",
            "value": "192.0.2.1",
            "kind": "new",
            "score": 90,
            "tags": ["c2"],
        },
        {
            "id": "url--00000000-0000-5000-8000-000000000002",
            "type": "url",
            "value": "http://malware.example/a",
            "kind": "changed",
            "score": 80,
            "score_before": 40,
            "tags": [],
        },
    ],
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
    url="https://sentineliq.example/console",
    group_id=UUID(int=3),
    total_count=2,
    labels={"source.name": "sample feed"},
)
_FIELDS: Final = {
    "id": "",
    "type": "",
    "value": "",
    "kind": "",
    "score": 0,
    "score_before": None,
    "tags": [],
    "title": "",
    "fields": {},
}
"""What each match has, so that a template may ask for it whatever the rule tells of."""


def sample_of(topic: str) -> Notification:
    """A notification that a rule over a topic might send, for templates to be tried on."""
    if topic not in EVENT_TOPICS:
        return _SAMPLE
    event_topic = EVENT_TOPICS[topic]
    match = event_topic.match(event_topic.sample)
    source = str(event_topic.sample["source.name"])
    return replace(
        _SAMPLE,
        source=source,
        match_count=1,
        total_count=1,
        matches=[match],
        labels={"source.name": source},
    )


@cache
def _pool() -> SandboxPool:
    return SandboxPool(_SERVICE, _LIMITS, warm=[rendering_job.__module__])


def write_text(template: str, notification: Notification) -> str:
    """What a template writes.

    Raises:
        InvalidInput: it cannot be used; `line` is the place, if it has one.
        Unavailable: other templates are being written.
    """
    order = TemplateOrder(template, _values(notification))
    request = msgspec.msgpack.encode(order)
    try:
        frame = _pool().call(rendering_job, request, (), _JOB_LIMITS, notification.tenant)
    except SandboxLimitExceeded as error:
        reason = _CAUSES.get(error.cause, "it cannot be read")
        message = f"The template cannot be used: {reason}."
        raise InvalidInput(message, field="text", limit=error.cause) from None
    return frame.decode()


def with_text(notification: Notification, template: str) -> Notification:
    """A notification with what a template writes in place of the channel's own words.

    Raises:
        InvalidInput, Unavailable: see `write_text`.
    """
    return replace(notification, text=write_text(template, notification))


def _values(notification: Notification) -> dict[str, Any]:
    return {
        "id": str(notification.id),
        "rule": wording.inert(notification.rule),
        "severity": notification.severity,
        "kind": notification.kind,
        "source": wording.inert(notification.source),
        "reason": wording.inert(notification.reason or ""),
        "match_count": notification.match_count,
        "total_count": notification.total_count,
        "created_at": notification.created_at.isoformat(timespec="seconds"),
        "url": notification.url,
        "headline": wording.headline(notification),
        "labels": _plain(notification.labels, 0),
        "matches": [_FIELDS | _plain(match, 0) for match in notification.matches],
    }


def _plain(value: Any, depth: int) -> Any:
    """Data without what would be a link, or more than a template needs."""
    if isinstance(value, dict) and depth < _MAX_DEPTH:
        return {str(name): _plain(each, depth + 1) for name, each in value.items()}
    if isinstance(value, list | tuple) and depth < _MAX_DEPTH:
        return [_plain(each, depth + 1) for each in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return wording.defanged(value)

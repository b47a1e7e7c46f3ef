"""The demonstration: the whole way from a feed to a signed webhook, once, on a folder that is thrown away."""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sentineliq.cli.client.api import Client
from sentineliq.cli.client.follow_run import follow
from sentineliq.cli.onboarding.starter_setup import StarterResult, StarterSetup
from sentineliq.cli.onboarding.webhook_receiver import ReceivedWebhook, WebhookReceiver
from sentineliq.cli.progress import ProgressLines
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from sentineliq.starter import load_starter
from shared.errors import SentinelIQError
from shared.settings import Settings

_WEBHOOK_WITHIN: Final = 10.0
_ALARM_FEED: Final = "Demo alarm"
_ALARM: Final = "203.0.113.250"
_PARTS: Final = {"DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_BOOTSTRAP_SERVERS"}


class DemoFailed(SentinelIQError):
    """The story did not come to its end; the message says where."""


@dataclass(frozen=True)
class Alarm:
    """One fresh indicator and the webhook it caused.

    Attributes:
        stored: seconds from the upload until the observable was stored and scored.
        told: seconds from the upload until the webhook had arrived.
    """

    stored: float
    told: float
    received: ReceivedWebhook


def run_demo(progress: ProgressLines) -> dict[str, Any]:
    """Tell the story; its figures by name.

    Raises:
        SentinelIQError, StackError: something failed; the message says what.
    """
    with tempfile.TemporaryDirectory(
        prefix="sentineliq-demo-", ignore_cleanup_errors=True
    ) as folder:
        # PostgreSQL runs as another user when this runs as root: it must be able to walk through.
        Path(folder).chmod(0o755)
        stack = Stack(
            Path(folder) / "data",
            Ports.free(),
            environ=_environment(),
            on_line=progress.on_line,
            on_state=progress.on_state,
        )
        with WebhookReceiver() as sink, _started(stack, progress):
            ready = progress.seconds
            progress.line("SentinelIQ", f"ready after {ready:.1f} s", "bold green")
            news, alarm = _story(stack, sink, progress)
        progress.line("SentinelIQ", f"stopped; {progress.seconds:.1f} s in all")
    return _summary(news, alarm, sink, {"ready": ready, "total": progress.seconds})


@contextmanager
def _started(stack: Stack, progress: ProgressLines) -> Iterator[None]:
    running = stack.running()
    with progress.waiting():
        running.__enter__()
    try:
        yield
    finally:
        progress.mute()
        running.__exit__(None, None, None)


def _environment() -> dict[str, str]:
    """Ours without what points to another installation: a demonstration must not write into it."""
    ours = {f"SENTINELIQ_{name.upper()}" for name in Settings.model_fields} | _PARTS
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    # The story is the same every time, whatever lists say today.
    return kept | {"SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8", "SENTINELIQ_REFERENCE_DATA": "off"}


def _story(
    stack: Stack, sink: WebhookReceiver, progress: ProgressLines
) -> tuple[StarterResult, Alarm]:
    with Client(stack.environment, "default") as client:
        channel = {"name": "Demo webhook", "kind": "webhook", "config": {"url": sink.url}}
        made = client.post("notifications", "/v1/channels", channel)
        sink.secret = made["secret"]
        rule = {"name": "Webhook at 80", "min_score": 80, "channel_ids": [made["id"]]}
        client.post("notifications", "/v1/rules", rule)
        progress.line("rule", f"{rule['name']!r} calls {sink.url}")
        with StarterSetup(stack.environment, load_starter(), progress) as welcome:
            news = welcome.tell()
        alarm = _raise_alarm(client, sink)
    progress.line(
        "webhook",
        f"signature verified; it arrived {alarm.told:.2f} s after {_ALARM} was uploaded",
        "bold green",
    )
    return news, alarm


def _raise_alarm(client: Client, sink: WebhookReceiver) -> Alarm:
    """Upload one new indicator and wait for the webhook about it."""
    begun = time.time()
    run = client.upload(
        "feeds",
        "/v1/ingest",
        f"{_ALARM}\n".encode(),
        name=_ALARM_FEED,
        format="text",
        confidence=95,
        reliability="A",
    )
    received = sink.wait_for(_ALARM_FEED, _WEBHOOK_WITHIN)
    outcome = follow(client, run)
    if received is None:
        wrong = [one for one in sink.received if not one.verified]
        why = (
            "came with a wrong signature" if wrong else f"did not come within {_WEBHOOK_WITHIN:g} s"
        )
        raise DemoFailed(f"the webhook about {_ALARM} {why}")
    return Alarm(outcome.seconds, received.at - begun, received)


def _summary(
    news: StarterResult, alarm: Alarm, sink: WebhookReceiver, seconds: dict[str, float]
) -> dict[str, Any]:
    origins = {origin for origin, _ in news.feeds.values()}
    attack = news.attack[1] if news.attack else None
    verified = sum(one.verified for one in sink.received)
    return {
        "feeds": f"{len(news.feeds)}: {', '.join(news.feeds)}",
        "came from": " and ".join(sorted(origins)),
        "observables": news.observables + 1,
        "highest score": f"{news.best['score']} ({news.best['value']})" if news.best else None,
        "ATT&CK": f"{attack['name']} {attack['version']} from {news.attack[0]}"
        if attack and news.attack
        else None,
        "notifications": f"{len(news.deliveries)} by the starter's rules, {verified} webhooks received and verified",
        "ingest to webhook": f"{alarm.told:.2f} s",
        "stack ready": f"{seconds['ready']:.1f} s",
        "in all": f"{seconds['total']:.1f} s",
    }

"""The demonstration: the whole way from a feed to a signed webhook, on a temporary folder."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sentineliq.cli.client.api import Client
from sentineliq.cli.client.follow_run import follow_run
from sentineliq.cli.onboarding.starter_setup import StarterResult, StarterSetup
from sentineliq.cli.onboarding.webhook_receiver import ReceivedWebhook, WebhookReceiver
from sentineliq.cli.progress import ProgressLines, running_stack
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from sentineliq.starter import load_starter
from shared.errors import SentinelIQError
from shared.settings import Settings

_WEBHOOK_WITHIN: Final = 10.0
_ALARM_FEED: Final = "Demo alarm"
_ALARM: Final = "203.0.113.250"
_SERVERS: Final = {"DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_BOOTSTRAP_SERVERS"}


class DemoFailed(SentinelIQError):
    """The demonstration did not reach its end; the message says where it failed."""


@dataclass(frozen=True)
class AlarmTimes:
    """The times of a fresh indicator.

    Attributes:
        stored: seconds from the upload until the observable was stored and scored.
        notified: seconds from the upload until the webhook arrived.
    """

    stored: float
    notified: float
    webhook: ReceivedWebhook


def run_demo(progress: ProgressLines) -> dict[str, Any]:
    """Run the demonstration; returns its figures by name.

    Raises:
        SentinelIQError, StackError: a step failed; the message says which.
    """
    with tempfile.TemporaryDirectory(
        prefix="sentineliq-demo-", ignore_cleanup_errors=True
    ) as folder:
        # As root, PostgreSQL runs as another user, which must be able to pass through.
        Path(folder).chmod(0o755)
        stack = Stack(
            Path(folder) / "data",
            Ports.free(),
            environ=_environment(),
            on_line=progress.on_line,
            on_state=progress.on_state,
        )
        with WebhookReceiver() as receiver, running_stack(stack, progress):
            ready = progress.seconds
            progress.line("SentinelIQ", f"ready after {ready:.1f} s", "bold green")
            result, alarm = _show_everything(stack, receiver, progress)
        total = progress.seconds
        progress.line("SentinelIQ", f"stopped; {total:.1f} s in all")
    return {
        **_summary(result, alarm, receiver),
        "stack ready": f"{ready:.1f} s",
        "in all": f"{total:.1f} s",
    }


def _environment() -> dict[str, str]:
    """The process's environment without other installations: the demo must not write into them."""
    own = {f"SENTINELIQ_{name.upper()}" for name in Settings.model_fields} | _SERVERS
    foreign = {name: value for name, value in os.environ.items() if name not in own}
    # The result is the same every time, whatever today's lists contain.
    return foreign | {
        "SENTINELIQ_OUTBOUND_ALLOW": "127.0.0.0/8",
        "SENTINELIQ_REFERENCE_DATA": "off",
    }


def _show_everything(
    stack: Stack, receiver: WebhookReceiver, progress: ProgressLines
) -> tuple[StarterResult, AlarmTimes]:
    with Client(stack.environment, "default") as client:
        body = {"name": "Demo webhook", "kind": "webhook", "config": {"url": receiver.url}}
        channel = client.post("notifications", "/v1/channels", body)
        receiver.secret = channel["secret"]
        rule = {"name": "Webhook at 80", "min_score": 80, "channel_ids": [channel["id"]]}
        client.post("notifications", "/v1/rules", rule)
        progress.line("rule", f"{rule['name']!r} calls {receiver.url}")
        with StarterSetup(stack.environment, load_starter(), progress) as setup:
            result = setup.run()
        alarm = _raise_alarm(client, receiver)
    text = f"signature verified; it arrived {alarm.notified:.2f} s after {_ALARM} was uploaded"
    progress.line("webhook", text, "bold green")
    return result, alarm


def _raise_alarm(client: Client, receiver: WebhookReceiver) -> AlarmTimes:
    """Upload one new indicator and wait for its webhook."""
    began = time.time()
    run = client.upload(
        "feeds",
        "/v1/ingest",
        f"{_ALARM}\n".encode(),
        name=_ALARM_FEED,
        format="text",
        confidence=95,
        reliability="A",
    )
    webhook = receiver.wait_for(_ALARM_FEED, _WEBHOOK_WITHIN)
    outcome = follow_run(client, run)
    if webhook is None:
        is_forged = any(not webhook.verified for webhook in receiver.received)
        reason = f"did not arrive within {_WEBHOOK_WITHIN:g} s"
        if is_forged:
            reason = "arrived with a wrong signature"
        raise DemoFailed(f"the webhook about {_ALARM} {reason}")
    return AlarmTimes(outcome.seconds, webhook.at - began, webhook)


def _summary(result: StarterResult, alarm: AlarmTimes, receiver: WebhookReceiver) -> dict[str, Any]:
    origins = {origin for origin, _ in result.feeds.values()}
    best = None
    if result.best:
        best = f"{result.best.score} ({result.best.value})"
    attack = None
    if result.attack:
        origin, release = result.attack
        attack = f"{release.name} {release.version} from {origin}"
    verified = sum(webhook.verified for webhook in receiver.received)
    return {
        "feeds": f"{len(result.feeds)}: {', '.join(result.feeds)}",
        "came from": " and ".join(sorted(origins)),
        "observables": result.observables + 1,
        "highest score": best,
        "ATT&CK": attack,
        "notifications": f"{len(result.deliveries)} by the starter's rules, "
        f"{verified} webhooks received and verified",
        "ingest to webhook": f"{alarm.notified:.2f} s",
    }

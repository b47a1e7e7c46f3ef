"""The receiver of the demonstration's webhooks."""

import json
import time
from datetime import UTC, datetime

import httpx2
from standardwebhooks import Webhook

from sentineliq.cli.onboarding.webhook_receiver import WebhookReceiver


def test_only_webhooks_signed_with_the_secret_are_accepted():
    body = json.dumps({"data": {"source": "Demo"}}).encode()
    with WebhookReceiver() as receiver:
        receiver.secret = "whsec_" + "QUJD" * 8
        wrong = "whsec_" + "REVG" * 8
        for secret, status in ((wrong, 401), (receiver.secret, 204)):
            now = datetime.now(UTC)
            headers = {
                "webhook-id": "1",
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(secret).sign("1", now, body.decode()),
            }
            assert httpx2.post(receiver.url, content=body, headers=headers).status_code == status
        webhook = receiver.wait_for("Demo", within=1)
        assert [webhook.verified for webhook in receiver.received] == [False, True]
        assert webhook is not None
        assert abs(webhook.at - time.time()) < 5
        assert receiver.wait_for("Another feed", within=0.01) is None

"""The webhook channel against a real server."""

import asyncio

import pytest
from standardwebhooks import Webhook as Verifier

from services.notifications.channel_types import ChannelGone
from services.notifications.channel_types.webhook import (
    MAX_BYTES,
    WebhookChannel,
    WebhookConfig,
    payload,
)
from services.notifications.deliveries.retry_policy import seconds_to_retry
from shared.errors import InvalidInput
from tests.notifications.channel_types.contract import (
    ALLOW,
    SECRET,
    ChannelContract,
    notification,
    send,
)
from tests.notifications.receiver import Answer, receiving


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


class TestWebhook(ChannelContract):
    @pytest.fixture
    def kind(self):
        return WebhookChannel()

    @pytest.fixture
    def config(self, receiver):
        return {"url": receiver.url}

    @pytest.fixture
    def sent_texts(self, receiver):
        return lambda: [
            f"{request.headers} {request.body.decode()}" for request in receiver.received
        ]

    def test_each_attempt_is_signed(self, kind, config, receiver):
        receiver.answers = [Answer(503)]
        message = notification()
        assert [send(kind, config, message).status for _ in range(2)] == [503, 204]
        for request in receiver.received:
            document = Verifier(SECRET).verify(request.body, request.headers)
            assert document["id"] == str(message.id)

    @pytest.mark.parametrize(
        ("status", "again"),
        [(301, False), (307, False), (400, True), (410, False), (429, True), (500, True)],
    )
    def test_only_success_is_success(self, kind, config, receiver, status, again):
        receiver.answers = [Answer(status, {"location": receiver.url})]
        result = send(kind, config, notification())
        assert result.status == status
        assert (seconds_to_retry(result.error, 1) is not None) is again
        assert result.is_gone is (status == 410) is isinstance(result.error, ChannelGone)
        assert len(receiver.received) == 1

    def test_a_silent_receiver_is_given_up(self, kind, config, receiver):
        receiver.answers = [Answer(delay=1.0)]
        result = send(kind, config, notification(), seconds=0.2)
        assert "0.2 seconds" in result.error.message
        assert seconds_to_retry(result.error, 1) is not None

    def test_the_test_of_the_address_names_the_field(self, kind):
        with pytest.raises(InvalidInput, match="SENTINELIQ_OUTBOUND_ALLOW") as caught:
            asyncio.run(kind.check(WebhookConfig(url="http://[::ffff:10.0.0.1]/"), ALLOW))
        assert caught.value.details["field"] == "config.url"


def test_a_payload_is_small_whatever_it_is_about():
    big = {"id": "url--1", "type": "url", "value": "ä" * 4000, "kind": "new", "score": 1}
    assert len(payload(notification(*[big] * 50))) < MAX_BYTES
    assert len(payload(notification(*[big | {"value": "x" * 30_000}]))) < MAX_BYTES

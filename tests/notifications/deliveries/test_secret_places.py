"""What a channel signs with is for its receiver only: checked at two receivers."""

import json
from base64 import b64encode
from collections.abc import Iterator

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.notifications.conftest import Bench
from tests.notifications.receiver import Answer, Received, Receiver, receiving

OTHER_SECRET = f"whsec_{b64encode(b'n' * 32).decode()}"


@pytest.fixture
def thief() -> Iterator[Receiver]:
    """A listener that is not the channel's."""
    with receiving() as receiver:
        yield receiver


def is_signed_with(secret: str, received: Received) -> bool:
    try:
        Webhook(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


def test_a_row_that_names_another_receiver_signs_nothing_for_it(
    bench: Bench, receiver: Receiver, thief: Receiver
) -> None:
    channel, rule, feed = bench.hook(receiver)
    bench.handle(bench.event(feed))
    bench.sql(
        "UPDATE channel SET config = CAST(:config AS jsonb) WHERE id = :id",
        config=json.dumps({"url": thief.url}),
        id=channel["id"],
    )
    bench.deliver()
    assert [len(place.received) for place in (receiver, thief)] == [0, 0]
    assert bench.ledger(rule)[0]["last_error"]["code"] == "unsealable"


def test_a_channel_that_is_pointed_elsewhere_signs_with_its_new_secret_only(
    bench: Bench, receiver: Receiver, thief: Receiver
) -> None:
    channel, _, feed = bench.hook(receiver)
    path = f"/v1/channels/{channel['id']}"
    refused = bench.api.patch(path, json={"config": {"url": thief.url}})
    assert refused.status_code == 422
    change = {"config": {"url": thief.url}, "secret": OTHER_SECRET}
    assert bench.api.patch(path, json=change).status_code == 200
    bench.handle(bench.event(feed))
    bench.deliver()
    assert receiver.received == []
    received = thief.received[0]
    assert is_signed_with(OTHER_SECRET, received)
    assert not is_signed_with(channel["secret"], received)
    for secret in (channel["secret"], OTHER_SECRET):
        assert secret.removeprefix("whsec_") not in f"{received.headers}{received.body!r}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_receiver_that_redirects_hands_nothing_on(
    bench: Bench, receiver: Receiver, thief: Receiver, status: int
) -> None:
    channel, _, feed = bench.hook(receiver)
    receiver.answers = [Answer(status, {"location": thief.url})]
    bench.handle(bench.event(feed))
    bench.deliver()
    assert is_signed_with(channel["secret"], receiver.received[0])
    assert thief.received == []

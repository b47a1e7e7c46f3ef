"""What becomes of a delivery whose receiver misbehaves, and that others are told meanwhile."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from services.notifications.channel_types import exchange
from services.notifications.deliveries import sending
from services.notifications.deliveries.dispatcher import DeliveryDispatcher
from shared.http import client as http_client
from tests.notifications.channel_types.loopback import serving
from tests.notifications.conftest import Bench
from tests.notifications.receiver import Receiver

_HUGE = 10_000_000


class _Misbehaving(asyncio.Protocol):
    """A server whose paths say what it does with a request."""

    requests: list[str]

    def __init__(self, requests: list[str]) -> None:
        self.requests = requests
        self.transport: asyncio.Transport | None = None
        self._received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
        if len(body) < length:
            return
        path = head.split(b" ")[1].decode().partition("?")[0]
        self._received = b""
        self.requests.append(path)
        assert self.transport is not None
        answer = _answer(path.strip("/"))
        if answer is None:
            return
        self.transport.write(answer)
        if path == "/drip":
            threading.Thread(target=self._drip, daemon=True).start()

    def _drip(self) -> None:
        """A byte of a header every half second, so that no pause is long."""
        for _ in range(60):
            time.sleep(0.5)
            assert self.transport is not None
            if self.transport.is_closing():
                return
            self.transport.write(b"x")


def _answer(path: str) -> bytes | None:
    if path == "hang":
        return None
    if path == "drip":
        return b"HTTP/1.1 200 OK\r\nx-slow: "
    if path == "huge":
        return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % _HUGE + b"x" * _HUGE
    if path == "endless-chunks":
        chunk = b"%x\r\n" % 65536 + b"x" * 65536 + b"\r\n"
        return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk * 200
    status, _, extra = path.partition("-")
    headers = {
        "301": "location: http://10.0.0.8/latest/meta-data\r\n",
        "302": "location: http://127.0.0.1:1/\r\n",
        "429": f"retry-after: {extra}\r\n",
    }
    return f"HTTP/1.1 {status} X\r\n{headers.get(status, '')}content-length: 2\r\n\r\n{{}}".encode()


@pytest.fixture
def requests() -> list[str]:
    return []


@pytest.fixture
def server(requests: list[str]) -> Iterator[str]:
    with serving(lambda: _Misbehaving(requests)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def short_attempts(monkeypatch: pytest.MonkeyPatch) -> float:
    """Attempts of two seconds, in place of fifteen."""
    real = sending.attempt

    async def attempt(*arguments: Any, **options: Any) -> Any:
        return await real(*arguments, seconds=2.0, **options)

    monkeypatch.setattr(sending, "attempt", attempt)
    return 2.0


def only(bench: Bench, rule: dict[str, Any]) -> dict[str, Any]:
    [row] = bench.ledger(rule)
    detail: dict[str, Any] = bench.api.get(f"/v1/deliveries/{row['id']}").json()
    return detail


def deliver_to(bench: Bench, url: str, kind: str = "webhook") -> dict[str, Any]:
    """The delivery and its attempt, and the channel's id, after one attempt."""
    values: dict[str, Any] = {"config": {"url": url}}
    if kind != "webhook":
        values = {"kind": kind, "config": {}, "credentials": {"url": url}}
    channel = bench.channel("", **values)
    feed = f"feed-{uuid4().hex[:8]}"
    rule = bench.rule(channel, sources=[feed])
    bench.handle(bench.event(feed))
    bench.deliver()
    return {**only(bench, rule), "channel_id": channel["id"], "rule": rule}


KINDS = pytest.mark.parametrize("kind", ["webhook", "slack", "discord"])


@KINDS
def test_a_hanging_receiver_is_asked_again_and_may_have_it(
    bench: Bench, server: str, short_attempts: float, kind: str, requests: list[str]
) -> None:
    started = time.monotonic()
    for path in ("hang", "drip"):
        ended = deliver_to(bench, f"{server}/{path}", kind)
        assert (ended["state"], ended["phase"]) == ("pending", "unknown")
        [attempt] = ended["attempt_log"]
        assert attempt["outcome"] == "unknown"
        assert 1900 <= attempt["milliseconds"] <= 3500
    assert time.monotonic() - started < 2 * short_attempts + 3
    assert requests == ["/hang", "/drip"]


@KINDS
@pytest.mark.parametrize("path", ["huge", "endless-chunks"])
def test_a_huge_answer_is_not_read(bench: Bench, server: str, kind: str, path: str) -> None:
    started = time.monotonic()
    ended = deliver_to(bench, f"{server}/{path}", kind)
    assert time.monotonic() - started < 5
    if kind == "webhook":
        # Its head accepts the message; the body is nobody's.
        assert ended["state"] == "delivered"
    else:
        # A vendor says in the body whether it did, and says no such thing in ten megabytes.
        assert ended["state"] == "failed"
        assert ended["attempt_log"][0]["outcome"] == "unknown"


@KINDS
@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_is_not_followed_and_fails_at_once(
    bench: Bench, server: str, kind: str, status: int, requests: list[str]
) -> None:
    ended = deliver_to(bench, f"{server}/{status}", kind)
    assert ended["state"] == "failed"
    assert ended["attempts"] == 1
    assert "final address" in ended["last_error"]["message"]
    assert "meta-data" not in json.dumps(ended)
    assert requests == [f"/{status}"]


@KINDS
def test_410_ends_the_channel(bench: Bench, server: str, kind: str) -> None:
    ended = deliver_to(bench, f"{server}/410", kind)
    assert (ended["state"], ended["last_error"]["code"]) == ("failed", "channel-gone")
    channel = bench.api.get(f"/v1/channels/{ended['channel_id']}").json()
    assert channel["enabled"] is False
    assert "410" in channel["disabled_reason"]


@KINDS
def test_429_waits_as_long_as_the_receiver_asks(bench: Bench, server: str, kind: str) -> None:
    ended = deliver_to(bench, f"{server}/429-300", kind)
    assert ended["state"] == "pending"
    assert ended["attempt_log"][0]["outcome"] == "failed"
    wait = datetime.fromisoformat(ended["next_attempt_at"]).timestamp() - time.time()
    assert 290 < wait <= 300
    assert bench.deliver().delivered == 0


@KINDS
def test_a_receiver_may_not_ask_for_a_year(bench: Bench, server: str, kind: str) -> None:
    ended = deliver_to(bench, f"{server}/429-31536000", kind)
    wait = datetime.fromisoformat(ended["next_attempt_at"]).timestamp() - time.time()
    assert 86_000 < wait <= 86_400


@KINDS
@pytest.mark.parametrize(
    "private", ["10.0.0.8", "169.254.169.254", "::1", "fd00::8", "::ffff:10.0.0.8", "100.64.0.1"]
)
def test_a_name_that_is_bound_to_a_private_address_later_is_refused(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, kind: str, private: str
) -> None:
    """It was public when the channel was made, and is private when it is used."""
    resolved: list[str] = []

    def resolving(*addresses: str) -> Callable[[str, int], Any]:
        async def resolve(host: str, _port: int) -> Sequence[str]:
            resolved.append(host)
            return addresses

        return resolve

    monkeypatch.setattr(exchange, "resolve", resolving("8.8.8.8"))
    # One private address among public ones is enough.
    monkeypatch.setattr(http_client, "resolve", resolving("8.8.8.8", private))
    ended = deliver_to(bench, "http://rebound.example.com/hook", kind)
    assert ended["state"] == "failed"
    assert ended["last_error"]["code"] == "forbidden-target"
    assert private not in json.dumps(ended["last_error"])
    assert resolved == ["rebound.example.com"] * 2


def test_others_are_told_while_receivers_misbehave(
    bench: Bench, receiver: Receiver, server: str, short_attempts: float
) -> None:
    _, rule, feed = bench.hook(receiver)
    bad = []
    for path in ("hang", "drip", "huge", "301", "410", "429-60", "500"):
        channel = bench.channel(f"{server}/{path}")
        bad.append(bench.rule(channel, sources=[feed]))
    for _ in range(40):
        bench.handle(bench.event(feed))
    running = threading.Thread(target=DeliveryDispatcher(bench.own, bench.settings).run)
    started = time.monotonic()
    running.start()
    receiver.wait_for(40, 20)
    # Before the first attempt to a hanging receiver has ended, or not long after.
    assert time.monotonic() - started < short_attempts + 4
    running.join(60)
    assert not running.is_alive()
    assert {row["state"] for row in bench.ledger(rule)} == {"delivered"}
    for each in bad:
        assert bench.ledger(each)
        assert all(row["state"] != "delivering" for row in bench.ledger(each))

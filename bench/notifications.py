"""From an event to a webhook: the time from publishing a change until the receiver has it.

Changes are published at a steady rate to `observables.changed.v1` of a whole stack; a rule tells
of each event by itself to a receiver in this process. Afterwards the ledger and the receiver have
to agree, message by message. Of the same events the least that can be done is timed beside it: a
consumer that posts each record, without rules, rows or retries.
"""

import argparse
import asyncio
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer

from bench._figures import api_client, report_figures, throwaway_stack
from sentineliq.local.stack import Stack
from shared.events import Event
from shared.events.observables import CHANGED, Change, ObservablesChanged
from shared.http.client import GuardedClient
from shared.kafka.cluster import client_options
from shared.kafka.producer import Publisher
from shared.settings import Settings

P50_SECONDS = 0.040
P99_SECONDS = 0.120
MAX_RATIO = 2.0
_WARM_EVENTS = 200


class _Hook:
    """A receiver that notes when each value arrives first, and how often."""

    def __init__(self) -> None:
        self.arrived: dict[str, float] = {}
        self.messages: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer 204 to every POST of a connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                self.note(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
                await writer.drain()
        writer.close()

    def note(self, document: dict[str, Any]) -> None:
        """Note a message: ours has an id, the bare loop's has none."""
        now = time.perf_counter()
        matches = document["data"]["matches"] if "data" in document else document["changes"]
        for match in matches:
            self.arrived.setdefault(match["value"], now)
        if "id" in document:
            self.messages[document["id"]] = self.messages.get(document["id"], 0) + 1


@asynccontextmanager
async def _receiving(hook: _Hook) -> Any:
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"


def _settings_of(stack: Stack) -> Settings:
    """The settings of the stack's own processes."""
    os.environ.update(stack.environment)
    return Settings()  # type: ignore[call-arg]  # of the environment


def _event(value: str) -> Event[ObservablesChanged]:
    change = Change(id=f"ipv4-addr--{uuid4()}", type="ipv4-addr", value=value, kind="new", score=90)
    data = ObservablesChanged(uuid4(), "bench", [change])
    key = value.encode()
    return Event(CHANGED, data, "acme", "/services/observables", key=key, id=str(uuid4()))


async def _publish_evenly(
    publish: Callable[[str], Awaitable[object]], values: list[str], rate: float
) -> dict[str, float]:
    """Publish a value each 1/rate seconds; when each was."""
    started = time.perf_counter()
    times = {}
    for number, value in enumerate(values):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        times[value] = time.perf_counter()
        await publish(value)
    return times


async def _wait_for(hooks: tuple[_Hook, ...], values: list[str], seconds: float = 60.0) -> None:
    end = time.perf_counter() + seconds
    while not all(hook.arrived.keys() >= set(values) for hook in hooks):
        if time.perf_counter() > end:
            missing = [len(set(values) - hook.arrived.keys()) for hook in hooks]
            raise TimeoutError(f"{missing} of {len(values)} events have not arrived")
        await asyncio.sleep(0.05)


async def _measure(
    stack: Stack, count: int, rate: float
) -> tuple[list[float], list[float], _Hook, str]:
    """Seconds to our receiver, and to that of the bare loop, of the same events."""
    product = _Hook()
    bare = _Hook()
    hooks = (product, bare)
    settings = _settings_of(stack)
    async with (
        _receiving(product) as url,
        _receiving(bare) as bare_url,
        Publisher(settings, "observables") as publisher,
    ):
        rule = await asyncio.to_thread(_create_rule, stack, url)
        posting = asyncio.create_task(_post_records(settings, CHANGED.name, bare_url))
        await asyncio.sleep(5.0)

        async def publish(value: str) -> None:
            await publisher.publish(_event(value))

        try:
            warm = [f"warm-{number}" for number in range(_WARM_EVENTS)]
            await _publish_evenly(publish, warm, rate)
            await _wait_for(hooks, warm)
            values = [f"value-{number}" for number in range(count)]
            times = await _publish_evenly(publish, values, rate)
            await _wait_for(hooks, values)
        finally:
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
    return _seconds(product, times, values), _seconds(bare, times, values), product, rule


def _seconds(hook: _Hook, times: dict[str, float], values: list[str]) -> list[float]:
    return [hook.arrived[value] - times[value] for value in values]


async def _post_records(settings: Settings, topic: str, url: str) -> None:
    """The least: consume and post, ten at a time."""
    consumer = AIOKafkaConsumer(topic, auto_offset_reset="latest", **client_options(settings))
    await consumer.start()
    slots = asyncio.Semaphore(10)
    async with GuardedClient(allow=settings.outbound_allow) as client, asyncio.TaskGroup() as group:
        try:
            async for record in consumer:
                await slots.acquire()
                post = client.request("POST", url, content=record.value or b"")
                task = group.create_task(post)
                task.add_done_callback(lambda _: slots.release())
        finally:
            await consumer.stop()


def _create_rule(stack: Stack, url: str) -> str:
    api = api_client(stack, "notifications")
    body = {"name": "bench", "kind": "webhook", "config": {"url": url}}
    channel = api.post("/v1/channels", json=body).raise_for_status().json()["id"]
    rule = {"name": "bench", "channel_ids": [channel], "group_by": ["event"]}
    answer = api.post("/v1/rules", json=rule).raise_for_status().json()
    time.sleep(2.0)
    return str(answer["id"])


def _compare_with_ledger(stack: Stack, rule: str, hook: _Hook) -> int:
    """How many deliveries the ledger has; the receiver has each of them, once.

    Raises:
        AssertionError: they differ.
    """
    api = api_client(stack, "notifications")
    ids = set()
    after = None
    while True:
        parameters = {"rule_id": rule, "limit": "1000"} | ({"after": after} if after else {})
        page = api.get("/v1/deliveries", params=parameters).raise_for_status().json()
        ids |= {item["id"] for item in page["items"] if item["state"] == "delivered"}
        after = page["next"]
        if after is None:
            break
    if ids != set(hook.messages) or set(hook.messages.values()) != {1}:
        raise AssertionError(f"ledger {len(ids)}, receiver {len(hook.messages)} messages")
    return len(ids)


def _quantiles(seconds: list[float]) -> tuple[float, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rate", type=float, default=100.0)
    options = parser.parse_args()
    count = int(options.seconds * options.rate)
    with throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _):
        seconds, bare, hook, rule = asyncio.run(_measure(stack, count, options.rate))
        time.sleep(2.0)
        deliveries = _compare_with_ledger(stack, rule, hook)
    p50, p99 = _quantiles(seconds)
    bare_p50, bare_p99 = _quantiles(bare)
    figures = {
        "events": count,
        "deliveries_in_ledger": deliveries,
        "p50_ms": round(p50 * 1000, 1),
        "p99_ms": round(p99 * 1000, 1),
        "bare_p50_ms": round(bare_p50 * 1000, 1),
        "bare_p99_ms": round(bare_p99 * 1000, 1),
        "ratio_p50": round(p50 / bare_p50, 2),
    }
    limits = {
        f"p50 above {P50_SECONDS * 1000:.0f} ms": p50 > P50_SECONDS,
        f"p99 above {P99_SECONDS * 1000:.0f} ms": p99 > P99_SECONDS,
        f"more than {MAX_RATIO:.0f} times the bare loop": p50 / bare_p50 > MAX_RATIO,
    }
    report_figures(
        "notifications", figures, [name for name, is_missed in limits.items() if is_missed]
    )


if __name__ == "__main__":
    main()

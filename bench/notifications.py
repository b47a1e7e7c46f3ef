"""From an event to a webhook: the time from publishing a change until the receiver has it.

Changes are published at a steady rate to `observables.changed.v1` of a whole stack; a rule tells
of each event by itself to a receiver in this process. Afterwards the ledger and the receiver have
to agree, message by message. Of the same events the least that can be done is timed beside it: a
consumer that posts each record, without rules, rows or retries.
"""

import argparse
import asyncio
import statistics
import time

from aiokafka import AIOKafkaConsumer

from bench._figures import api_client, report_figures, throwaway_stack
from bench._hooks import Hook, change_event, publish_evenly, receiving, settings_of, wait_for
from sentineliq.local.stack import Stack
from shared.events.observables import CHANGED
from shared.http.client import GuardedClient
from shared.kafka.cluster import client_options
from shared.kafka.producer import Publisher
from shared.settings import Settings

P50_SECONDS = 0.040
P99_SECONDS = 0.120
MAX_RATIO = 2.0
_WARM_EVENTS = 200


async def _measure(
    stack: Stack, count: int, rate: float
) -> tuple[list[float], list[float], Hook, str]:
    """Seconds to our receiver, and to that of the bare loop, of the same events."""
    product = Hook()
    bare = Hook()
    hooks = (product, bare)
    settings = settings_of(stack)
    async with (
        receiving(product) as url,
        receiving(bare) as bare_url,
        Publisher(settings, "observables") as publisher,
    ):
        rule = await asyncio.to_thread(_create_rule, stack, url)
        posting = asyncio.create_task(_post_records(settings, CHANGED.name, bare_url))
        await asyncio.sleep(5.0)

        async def publish(value: str) -> None:
            await publisher.publish(change_event(value))

        try:
            warm = [f"warm-{number}" for number in range(_WARM_EVENTS)]
            await publish_evenly(publish, warm, rate)
            await wait_for(hooks, warm)
            values = [f"value-{number}" for number in range(count)]
            times = await publish_evenly(publish, values, rate)
            await wait_for(hooks, values)
        finally:
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
    return _seconds(product, times, values), _seconds(bare, times, values), product, rule


def _seconds(hook: Hook, times: dict[str, float], values: list[str]) -> list[float]:
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


def _compare_with_ledger(stack: Stack, rule: str, hook: Hook) -> int:
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

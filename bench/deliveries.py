"""Deliveries in bulk, and beside receivers that misbehave.

10,000 messages that were sent are replayed at once to another channel. Then events are published at
a steady rate, undisturbed and while the channels of another tenant hang, answer with megabytes,
drip, redirect, or ask for time: how much longer do the messages of the first one take?
"""

import argparse
import asyncio
import random
import statistics
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from bench._figures import api_client, report_figures, throwaway_stack
from bench._hooks import Hook, change_event, publish_evenly, receiving, settings_of, wait_for
from sentineliq.local.stack import Stack
from shared.kafka.producer import Publisher

MAX_REPLAY_SECONDS = 60.0
MAX_RATIO = 1.2
_HUGE = b"x" * (1 << 20)
_MISCHIEF = ("hang", "drip", "huge", "301", "429", "500")
_CHANNELS_EACH = 5


async def _misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do to a request what its path says."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        await reader.readexactly(int(head.partition("content-length:")[2].split("\r\n")[0]))
        path = head.split(" ")[1].strip("/").partition("-")[0]
        if path == "hang":
            await asyncio.sleep(60)
        elif path == "drip":
            writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
            for _ in range(60):
                await asyncio.sleep(0.5)
                writer.write(b"x")
                await writer.drain()
        elif path == "huge":
            writer.write(b"HTTP/1.1 500 X\r\ncontent-length: %d\r\n\r\n" % (10 * len(_HUGE)))
            for _ in range(10):
                writer.write(_HUGE)
                await writer.drain()
        else:
            head_text = f"HTTP/1.1 {path} X\r\nretry-after: 5\r\nlocation: http://10.0.0.8/\r\n"
            writer.write(f"{head_text}content-length: 0\r\n\r\n".encode())
            await writer.drain()
    writer.close()


def _add_rule(api: httpx2.Client, url: str, name: str, **rule: Any) -> tuple[str, str]:
    """A channel and a rule that tells it of each event by itself; their ids."""
    body = {"name": name, "kind": "webhook", "config": {"url": url}}
    channel = api.post("/v1/channels", json=body).raise_for_status().json()["id"]
    values = {"name": name, "channel_ids": [channel], "group_by": ["event"], **rule}
    answer = api.post("/v1/rules", json=values).raise_for_status().json()
    return str(channel), str(answer["id"])


async def _replay(stack: Stack, publisher: Publisher, count: int) -> float:
    """Seconds until the receiver has every message of a replayed range."""
    api = api_client(stack, "notifications")
    first = Hook()
    second = Hook()
    async with receiving(first) as url, receiving(second) as other_url:
        _, rule = await asyncio.to_thread(_add_rule, api, url, "first", min_score=80)
        other = {"name": "second", "kind": "webhook", "config": {"url": other_url}}
        created = await asyncio.to_thread(lambda: api.post("/v1/channels", json=other))
        channel = created.raise_for_status().json()["id"]
        await asyncio.sleep(2.0)
        since = datetime.now(UTC) - timedelta(minutes=1)
        values = [f"replayed-{number}" for number in range(count)]
        for value in values:
            await publisher.publish(change_event(value))
        await publisher.flush()
        await wait_for((first,), values, 600.0)
        await asyncio.sleep(2.0)
        body = {
            "since": since.isoformat(),
            "until": (datetime.now(UTC) + timedelta(minutes=1)).isoformat(),
            "rule_id": rule,
            "to_channel_id": channel,
        }
        started = time.perf_counter()
        answer = await asyncio.to_thread(lambda: api.post("/v1/deliveries/replay", json=body))
        if answer.raise_for_status().json()["replayed"] != count:
            raise AssertionError(f"not {count} were replayed: {answer.text[:200]}")
        await wait_for((second,), values, 600.0)
        seconds = time.perf_counter() - started
        if set(second.messages.values()) != {1} or len(second.messages) != count:
            raise AssertionError(f"{len(second.messages)} messages of {count} arrived, or twice")
        await asyncio.to_thread(api.delete, f"/v1/rules/{rule}")
    return seconds


async def _compare(stack: Stack, publisher: Publisher, seconds: int, rate: float) -> dict[str, Any]:
    """The times of a tenant's messages, alone and beside receivers that misbehave."""
    hook = Hook()
    server = await asyncio.start_server(_misbehave, "127.0.0.1", 0)
    bad_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    count = int(seconds * rate)
    async with server, receiving(hook) as url:
        api = api_client(stack, "notifications")
        _, rule = await asyncio.to_thread(_add_rule, api, url, "victim")
        await asyncio.sleep(2.0)

        async def publish(value: str) -> None:
            await publisher.publish(change_event(value))

        async def measure(name: str) -> list[float]:
            values = [f"{name}-{number}" for number in range(count)]
            times = await publish_evenly(
                lambda value: publisher.publish(change_event(value)), values, rate
            )
            await wait_for((hook,), values, 120.0)
            return [hook.arrived[value] - times[value] for value in values]

        await measure("warm")
        alone = await measure("alone")
        hostile = api_client(stack, "notifications", tenant="hostile")
        for number in range(_CHANNELS_EACH):
            for path in _MISCHIEF:
                name = f"{path}-{number}"
                await asyncio.to_thread(_add_rule, hostile, f"{bad_url}/{name}", name)
        flooding = asyncio.create_task(_flood(publisher))
        await asyncio.sleep(5.0)
        beside = await measure("beside")
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        await asyncio.to_thread(api.delete, f"/v1/rules/{rule}")
    figures: dict[str, Any] = {"messages": count}
    for name, times in (("alone", alone), ("beside", beside)):
        cuts = statistics.quantiles(times, n=100, method="inclusive")
        figures |= {
            f"{name}_p50_ms": round(cuts[49] * 1000),
            f"{name}_p99_ms": round(cuts[98] * 1000),
        }
    return figures


async def _flood(publisher: Publisher) -> None:
    """An event each second, of which all channels of the hostile tenant are told."""
    while True:
        value = f"flood-{random.randrange(1 << 60)}"  # noqa: S311  # no secret depends on it
        await publisher.publish(change_event(value, tenant="hostile"))
        await asyncio.sleep(1.0)


async def _measure(stack: Stack, options: argparse.Namespace) -> dict[str, Any]:
    async with Publisher(settings_of(stack), "observables") as publisher:
        await asyncio.sleep(5.0)
        compared = await _compare(stack, publisher, options.seconds, options.rate)
        replayed = await _replay(stack, publisher, options.replayed)
    ratio = compared["beside_p99_ms"] / compared["alone_p99_ms"]
    return {
        "replayed": options.replayed,
        "replay_seconds": round(replayed, 1),
        **compared,
        "p99_ratio": round(ratio, 2),
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replayed", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rate", type=float, default=20.0)
    options = parser.parse_args()
    with throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _):
        figures = asyncio.run(_measure(stack, options))
    missed = {
        f"replay above {MAX_REPLAY_SECONDS:.0f} s": figures["replay_seconds"] > MAX_REPLAY_SECONDS,
        f"p99 above {MAX_RATIO} times": figures["p99_ratio"] > MAX_RATIO,
    }
    report_figures("deliveries", figures, [name for name, is_missed in missed.items() if is_missed])


if __name__ == "__main__":
    main()

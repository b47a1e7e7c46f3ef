"""A storm: 50,000 matches of 60 feeds in a minute, told to a webhook, Slack, Discord and Teams.

There are as many messages as the rule is configured for and no more, their counts add up to what
was matched, none is above its channel's limit, and the messages of another tenant take hardly
longer than before.
"""

import argparse
import asyncio
import json
import math
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx2

from bench._figures import api_client, report_figures, throwaway_stack
from bench._hooks import Hook, change_event, publish_evenly, receiving, settings_of, wait_for
from sentineliq.local.stack import Stack
from shared.events import Event
from shared.events.observables import CHANGED, Change, ObservablesChanged
from shared.kafka.producer import Publisher

MAX_RATIO = 1.2
UPDATE_SECONDS = 10
MAX_GROUPS = 20
_CHUNK = 500
_FEEDS = 60
_LIMITS = {"webhook": 20_000, "teams": 28 * 1024, "discord": None, "slack": None}
"""Bytes of a document; the others count characters and blocks."""
_DISCORD_CHARACTERS = 4_096
_SLACK_BLOCKS = 50


class _Sink:
    """A server that takes what chats and webhooks are sent, and keeps it."""

    def __init__(self) -> None:
        self.bodies: dict[str, list[bytes]] = defaultdict(list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer as each of the vendors does."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                length = int(head.lower().partition("content-length:")[2].split("\r\n")[0])
                name = head.split(" ")[1].strip("/").partition("?")[0]
                self.bodies[name].append(await reader.readexactly(length))
                content = {"slack": b"ok", "discord": b'{"id": "1"}'}.get(name, b"{}")
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content))
                writer.write(content)
                await writer.drain()
        writer.close()

    def matches(self) -> int:
        """The matches that the webhook was told of."""
        return sum(json.loads(body)["data"]["match_count"] for body in self.bodies["webhook"])

    def above_limit(self) -> list[str]:
        """Messages that are larger than their channel takes."""
        large = []
        for name, bodies in self.bodies.items():
            for body in bodies:
                document = json.loads(body)
                limit = _LIMITS[name]
                is_large = limit is not None and len(body) > limit
                is_large |= len(document.get("blocks", ())) > _SLACK_BLOCKS
                for embed in document.get("embeds", ()):
                    is_large |= len(embed.get("description", "")) > _DISCORD_CHARACTERS
                if is_large:
                    large.append(name)
        return large


def _chunk(number: int) -> Event[ObservablesChanged]:
    changes = []
    for each in range(_CHUNK):
        value = f"10.{number}.{each >> 8}.{each & 255}"
        id_ = f"ipv4-addr--{uuid4()}"
        changes.append(Change(id=id_, type="ipv4-addr", value=value, kind="new", score=90))
    data = ObservablesChanged(uuid4(), f"storm feed {number % _FEEDS}", changes)
    key = str(number).encode()
    return Event(CHANGED, data, "acme", "/services/observables", key=key, id=str(uuid4()))


def _make_storm_rule(api: httpx2.Client, url: str) -> None:
    ids = []
    for kind in _LIMITS:
        body: dict[str, Any] = {"name": kind, "kind": kind}
        if kind == "webhook":
            body["config"] = {"url": f"{url}/webhook"}
        else:
            body |= {"config": {}, "credentials": {"url": f"{url}/{kind}"}}
        ids.append(api.post("/v1/channels", json=body).raise_for_status().json()["id"])
    rule = {
        "name": "storm",
        "channel_ids": ids,
        "group_by": ["source.name"],
        "update_seconds": UPDATE_SECONDS,
        "max_groups": MAX_GROUPS,
    }
    api.post("/v1/rules", json=rule).raise_for_status()


def _make_victim_rule(api: httpx2.Client, url: str) -> None:
    body = {"name": "victim", "kind": "webhook", "config": {"url": url}}
    channel = api.post("/v1/channels", json=body).raise_for_status().json()["id"]
    rule = {"name": "victim", "channel_ids": [channel], "group_by": ["event"]}
    api.post("/v1/rules", json=rule).raise_for_status()


async def _measure(stack: Stack, options: argparse.Namespace) -> dict[str, Any]:
    sink = _Sink()
    hook = Hook()
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with (
        server,
        receiving(hook) as victim_url,
        Publisher(settings_of(stack), "observables") as publisher,
    ):
        await asyncio.to_thread(_make_storm_rule, api_client(stack, "notifications"), url)
        victim = api_client(stack, "notifications", tenant="globex")
        await asyncio.to_thread(_make_victim_rule, victim, victim_url)
        await asyncio.sleep(5.0)

        async def tell(value: str) -> None:
            await publisher.publish(change_event(value, tenant="globex"))

        async def measure(name: str) -> list[float]:
            values = [f"{name}-{number}" for number in range(int(options.seconds * 10))]
            times = await publish_evenly(tell, values, 10.0)
            await wait_for((hook,), values, 120.0)
            return [hook.arrived[value] - times[value] for value in values]

        await measure("warm")
        alone = await measure("alone")
        started = time.perf_counter()
        storm = asyncio.create_task(_storm(publisher, options))
        beside = await measure("beside")
        await storm
        end = time.perf_counter() + 120.0
        while sink.matches() < options.matches and time.perf_counter() < end:  # noqa: ASYNC110
            await asyncio.sleep(1.0)
        await asyncio.sleep(2 * UPDATE_SECONDS)
        seconds = time.perf_counter() - started
    return _figures(sink, alone, beside, options.matches, seconds)


async def _storm(publisher: Publisher, options: argparse.Namespace) -> None:
    count = options.matches // _CHUNK
    started = time.perf_counter()
    for number in range(count):
        due = started + number * options.seconds / count
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        await publisher.publish(_chunk(number))


def _figures(
    sink: _Sink, alone: list[float], beside: list[float], matches: int, seconds: float
) -> dict[str, Any]:
    p99s = [statistics.quantiles(each, n=100, method="inclusive")[98] for each in (alone, beside)]
    windows = math.ceil(seconds / UPDATE_SECONDS)
    return {
        "matches": matches,
        "matches_in_messages": sink.matches(),
        "configured_messages": (MAX_GROUPS + 1) * windows,
        **{f"messages_{name}": len(sink.bodies[name]) for name in _LIMITS},
        "largest_bytes": max(len(body) for bodies in sink.bodies.values() for body in bodies),
        "above_limit": len(sink.above_limit()),
        "alone_p99_ms": round(p99s[0] * 1000),
        "beside_p99_ms": round(p99s[1] * 1000),
        "p99_ratio": round(p99s[1] / p99s[0], 2),
    }


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--matches", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    with throwaway_stack(SENTINELIQ_OUTBOUND_ALLOW="127.0.0.0/8") as (stack, _):
        figures = asyncio.run(_measure(stack, options))
    most = max(figures[f"messages_{name}"] for name in _LIMITS)
    missed = {
        "counts differ": figures["matches_in_messages"] != figures["matches"],
        "more messages than configured": most > figures["configured_messages"],
        "messages above a limit": figures["above_limit"] > 0,
        f"another tenant's p99 above {MAX_RATIO} times": figures["p99_ratio"] > MAX_RATIO,
    }
    report_figures("storm", figures, [name for name, is_missed in missed.items() if is_missed])


if __name__ == "__main__":
    main()

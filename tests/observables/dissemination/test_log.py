"""From a feed's chunk over the log to the file that a device polls, and nothing is played."""

import asyncio
import time

from services.observables.__main__ import SERVICE
from services.observables.consumers import LIST_SUBSCRIPTIONS
from services.observables.dissemination.files.service import write_stale_files
from shared.kafka.consumer import Consumer
from shared.kafka.relay import Relay
from shared.settings import Settings
from tests.observables.conftest import chunk, handle
from tests.observables.dissemination.conftest import Lists, address


def test_a_change_is_in_the_polled_file_within_seconds(lists: Lists, settings: Settings) -> None:
    assert SERVICE.groups == {"lists": "services.observables.consumers:LIST_SUBSCRIPTIONS"}
    view = lists.create()
    body = {"name": "edge", "list_ids": [view["id"]]}
    token = lists.client.post("/v1/list-consumers", json=body).json()["token"]
    place = f"/lists/{token}/addresses.plain"
    assert lists.client.get(place).status_code == 200

    def poll() -> str:
        write_stale_files(lists.own)
        return lists.client.get(place).text

    async def until_polled() -> float:
        consumer = Consumer(lists.own, settings, LIST_SUBSCRIPTIONS, "lists")
        assert consumer.group.endswith("sentineliq.observables.lists")
        joined = asyncio.Event()
        work = [Relay(lists.own, settings).run(), consumer.run(joined.set)]
        tasks = [asyncio.ensure_future(coroutine) for coroutine in work]
        try:
            async with asyncio.timeout(60):
                await joined.wait()
                await asyncio.sleep(2)
                started = time.monotonic()
                await asyncio.to_thread(handle, lists.own, chunk(address(1), address(2)))
                while "203.0.0.3" not in await asyncio.to_thread(poll):
                    await asyncio.sleep(0.1)
                return time.monotonic() - started
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    seconds = asyncio.run(until_polled())
    assert seconds < 30
    assert lists.values(view["id"]) == ["203.0.0.2", "203.0.0.3"]
    print(f"a change was in the file after {seconds:.2f} s")  # noqa: T201  # the figure

"""Sending a run's chunks straight to Kafka: in order, with ids that a retry repeats, no more than are handled."""

import asyncio
from collections.abc import Iterator
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from services.feeds.runs.lease import LeasedRun
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, SOURCE, IndicatorsObserved
from shared.kafka.backpressure import Backpressure
from shared.kafka.producer import Publisher
from shared.kafka.topics import bucket_key
from shared.settings import Settings

UNDER_WAY: Final = 160
"""Chunks of a run that the observables service may still have before it: a few seconds of its work."""

_NOTHING: Final = IndicatorsObserved(FeedRef(UUID(int=0), ""), UUID(int=0), 0, 0, "")


async def publish(
    run: LeasedRun, settings: Settings, chunks: Iterator[tuple[int, bytes]], first: int
) -> None:
    """Send chunks and wait for the last acknowledgement.

    Args:
        run: it is asked now and then whether it is still ours.
        settings: where the cluster is.
        chunks: bucket and payload.
        first: number of the first chunk within the run.

    Raises:
        Unavailable: Kafka does not take them, or nobody reads them.
        Conflict: another worker took the run over.
    """
    async with (
        Publisher(settings) as publisher,
        Backpressure(settings, "observables", UNDER_WAY) as backpressure,
    ):
        for number, (bucket, payload) in enumerate(chunks, first):
            run.check()
            await backpressure.wait_for_capacity()
            identity = str(uuid5(NAMESPACE_OID, f"{run.id}/{number}"))
            headers = Event(OBSERVED, _NOTHING, run.tenant, SOURCE, id=identity).headers()
            backpressure.track(
                await publisher.send(OBSERVED.name, bucket_key(bucket), payload, headers)
            )
            # Reading does not wait for anything by itself: let the producer's own tasks have a turn.
            await asyncio.sleep(0)
        await publisher.flush()

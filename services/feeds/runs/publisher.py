"""Publishing chunks to Kafka: in order, with ids that a retry repeats, at the reader's pace."""

import asyncio
from collections.abc import Iterator
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid5

from services.feeds import NAME
from services.feeds.runs.leased_run import LeasedRun
from shared.events import Event, FeedRef
from shared.events.feeds import OBSERVED, SOURCE, IndicatorsObserved
from shared.kafka.backpressure import Backpressure
from shared.kafka.producer import Publisher
from shared.kafka.topics import bucket_key
from shared.settings import Settings

MAX_UNHANDLED: Final = 160
"""Chunks of a run that the observables service may have before it: a few seconds of its work."""

_EMPTY: Final = IndicatorsObserved(FeedRef(UUID(int=0), ""), UUID(int=0), 0, 0, "")


async def publish_chunks(
    run: LeasedRun, settings: Settings, chunks: Iterator[tuple[int, bytes]], first: int
) -> None:
    """Send chunks and wait for the last acknowledgement.

    Args:
        run: checked before each chunk.
        settings: where the cluster is.
        chunks: bucket and payload.
        first: number of the first chunk within the run.

    Raises:
        Unavailable: Kafka does not take them, or the observables service does not read them.
        LeaseLost: another worker has the run.
    """
    async with (
        Publisher(settings, NAME) as publisher,
        Backpressure(settings, "observables", OBSERVED.name, MAX_UNHANDLED) as backpressure,
    ):
        await backpressure.wait_for_readers()
        for number, (bucket, payload) in enumerate(chunks, first):
            if number == first:
                await asyncio.to_thread(run.begin_publishing)
            run.check()
            await backpressure.wait_for_capacity()
            identity = str(uuid5(NAMESPACE_OID, f"{run.claim.id}/{number}"))
            event = Event(
                OBSERVED,
                _EMPTY,
                run.claim.tenant,
                SOURCE,
                bucket_key(bucket),
                identity,
                encoded=payload,
            )
            acknowledgement = await publisher.publish(event)
            backpressure.track(acknowledgement)
            run.sent = number - first + 1
            # Reading the chunks awaits nothing by itself: let the producer's own tasks have a turn.
            await asyncio.sleep(0)
        await publisher.flush()

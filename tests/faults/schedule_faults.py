"""Faults of schedules and clocks: a frozen Beat beside another one, and clocks that are wrong."""

import asyncio
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.events.scheduler import FIRED
from tests.faults.installation import Installation, unique, wait_until
from tests.faults.load import Load
from tests.faults.oracle import Figures, Oracle
from tests.faults.process_faults import another
from tests.faults.scenario import NotPossibleHere, Trial, pause

_LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


def frozen_beat(trial: Trial) -> Figures:
    """SIGSTOP the Beat beside another one: each due time fires once, and soon again."""
    installation = trial.installation

    def fault(_: Load) -> float:
        frozen = installation.pid("scheduler-beat")
        with another(installation, "scheduler", "beat"):
            pause(2)
            os.killpg(frozen, signal.SIGSTOP)
            try:
                pause(trial.seconds(8, 90))
            finally:
                os.killpg(frozen, signal.SIGCONT)
            return time.monotonic()

    figures = trial.run("frozen beat", fault)
    fires = asyncio.run(_fires(installation))
    assert fires, "no schedule fired"
    figures.duplicate += sum(count - 1 for count in fires.values())
    return figures


async def _fires(installation: Installation) -> Counter[tuple[str, str]]:
    """How often each due time of each schedule was fired, from the log."""
    fires: dict[str, tuple[str, str]] = {}
    consumer = AIOKafkaConsumer(**installation.brokers)
    parts = await _partitions(installation)
    async with consumer:
        ends = await consumer.end_offsets(parts)
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    fire = json.loads(record.value)
                    identity = dict(record.headers)["ce_id"].decode()
                    fires[identity] = (str(record.key), fire["due_at"])
    return Counter(fires.values())


async def _partitions(installation: Installation) -> list[TopicPartition]:
    admin = AIOKafkaAdminClient(**installation.brokers)
    await admin.start()
    (topic,) = await admin.describe_topics([FIRED.name])
    await admin.close()
    return [TopicPartition(FIRED.name, entry["partition"]) for entry in topic["partitions"]]


def skewed_clock(trial: Trial) -> Figures:
    """Every process of feeds believes it is five minutes later, or earlier."""
    if not _LIBRARY.exists():
        raise NotPossibleHere("libfaketime is not installed (apt install libfaketime)")
    installation = trial.installation
    oracle = Oracle(installation)
    load = Load(installation, "skewed clock")
    feed = load.serve(200)
    first = load.fetch(feed)
    wait_until(lambda: load.run_state(first) == "succeeded", "the first run of the list")
    frozen = installation.pid("feeds-worker")
    os.killpg(frozen, signal.SIGSTOP)  # so that all work is for the skewed one
    for skew in ("+300", "-300"):
        with another(installation, "feeds", "worker", LD_PRELOAD=str(_LIBRARY), FAKETIME=skew):
            served = load.served(feed)
            served.lines = served.lines[10:]
            run = load.fetch(feed)
            wait_until(lambda run=run: load.run_state(run) == "succeeded", unique("a skewed run"))
            load.upload(100)
    os.killpg(frozen, signal.SIGCONT)
    return trial.count(oracle, load, trial.probe.seconds(time.monotonic()))

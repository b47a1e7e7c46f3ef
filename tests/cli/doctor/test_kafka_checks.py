"""What doctor says of Kafka."""

import asyncio
import time

from sentineliq.cli.doctor.kafka_checks import CONSUMED_TOPICS, check_kafka
from shared.kafka.topics import ensure_topics
from shared.settings import Settings


def test_topics_that_are_missing_are_a_problem(environment: Settings) -> None:
    checks = check_kafka(environment)
    assert checks.cluster.status == "problem"
    assert "topics are missing, such as feeds.observed.v1" in checks.cluster.seen.replace(
        environment.kafka_topic_prefix, ""
    )
    asyncio.run(ensure_topics(environment))
    end = time.monotonic() + 30
    # A cluster that has just started has no coordinator for consumer groups yet.
    while not checks.cluster.is_usable and time.monotonic() < end:
        checks = check_kafka(environment)
    assert checks.cluster.status == "ok"
    assert set(checks.consumers) == set(CONSUMED_TOPICS)

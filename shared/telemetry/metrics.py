"""Metrics that all services share; a service defines its own beside its code."""

import atexit
import os
import shutil
import tempfile

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector

HTTP_SECONDS = Histogram(
    "sentineliq_http_request_seconds",
    "Time to answer an HTTP request.",
    ["service", "method", "route", "status"],
)
TASK_SECONDS = Histogram("sentineliq_task_seconds", "Time a Celery task took.", ["task", "state"])
EVENTS_HANDLED = Counter(
    "sentineliq_events_handled_total", "Events whose transaction committed.", ["service", "topic"]
)
EVENTS_DEAD = Counter(
    "sentineliq_events_dead_total", "Records sent to a dead-letter topic.", ["service", "topic"]
)
EVENTS_REFUSED = Counter(
    "sentineliq_events_refused_total",
    "Records that nobody who may send them has signed; they were passed over.",
    ["service", "topic"],
)
EVENT_SECONDS = Histogram(
    "sentineliq_event_batch_seconds", "Time of one handler transaction.", ["service", "topic"]
)
CONSUMER_LAG = Gauge(
    "sentineliq_consumer_lag", "Records not yet handled.", ["service", "topic", "partition"]
)
CONSUMER_HALTED = Gauge(
    "sentineliq_consumer_halted",
    "1 while a partition is halted because its records cannot be handled.",
    ["service", "topic", "partition"],
)
LOG_GAPS = Counter(
    "sentineliq_log_gaps_total",
    "Places where a log did not continue where its consumer was.",
    ["service", "topic", "kind"],
)
OUTBOX_PUBLISHED = Counter(
    "sentineliq_outbox_published_total", "Events relayed from the outbox.", ["service"]
)
RUNS_REPORTED = Counter(
    "sentineliq_runs_reported_total", "Feed runs reported as applied or incomplete.", ["state"]
)
ASSERTIONS_CORRECTED = Counter(
    "sentineliq_assertions_corrected_total",
    "Assertions that full statements put right.",
    ["service"],
)
OUTBOX_REFUSED = Counter(
    "sentineliq_outbox_refused_total",
    "Attempts to publish an event that Kafka refused.",
    ["service"],
)
OUTBOX_AGE = Gauge(
    "sentineliq_outbox_oldest_seconds", "Age of the oldest event that waits.", ["service"]
)
OUTBOX_WAITING = Gauge("sentineliq_outbox_waiting", "Events that wait for the relay.", ["service"])
OUTBOX_PARKED = Gauge("sentineliq_outbox_parked", "Events that Kafka refuses.", ["service"])
SANDBOX_JOBS = Counter(
    "sentineliq_sandbox_jobs_total",
    "Documents that child processes read, by outcome: read, refused, or why they were stopped.",
    ["service", "outcome"],
)
SANDBOX_PROCESSES = Counter(
    "sentineliq_sandbox_processes_total", "Child processes started to read documents.", ["service"]
)
SWEEP_SECONDS = Histogram(
    "sentineliq_sweep_seconds", "Time of one run of a sweep.", ["service", "sweep", "outcome"]
)


def multiprocess_registry() -> CollectorRegistry:
    """Share this process's metrics with those that it forks; call it before any of them counts.

    A Celery worker's tasks run in its children, but its metrics are scraped from the parent. They
    share memory-mapped files in a temporary folder.
    Source: https://prometheus.github.io/client_python/multiprocess/

    Returns:
        A registry with the sums of all these processes.
    """
    folder = tempfile.mkdtemp(prefix="sentineliq-metrics-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    # The library reads that variable when it is imported. The metrics of this module have labels,
    # and so no values yet.
    values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return registry

"""The metrics that all services share; a service adds its own beside its code."""

from prometheus_client import Counter, Gauge, Histogram

HTTP_SECONDS = Histogram(
    "sentineliq_http_request_seconds", "Time to answer an HTTP request.", ["service", "method", "route", "status"]
)
TASK_SECONDS = Histogram("sentineliq_task_seconds", "Time a Celery task took.", ["task", "state"])
EVENTS_HANDLED = Counter("sentineliq_events_handled_total", "Events whose transaction committed.", ["service", "topic"])
EVENTS_DEAD = Counter("sentineliq_events_dead_total", "Records sent to a dead-letter topic.", ["service", "topic"])
EVENT_SECONDS = Histogram("sentineliq_event_batch_seconds", "Time of one handler transaction.", ["service", "topic"])
CONSUMER_LAG = Gauge("sentineliq_consumer_lag", "Records not yet handled.", ["service", "topic", "partition"])
OUTBOX_PUBLISHED = Counter("sentineliq_outbox_published_total", "Events relayed from the outbox.", ["service"])

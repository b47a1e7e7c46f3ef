"""Metrics of remote enrichment."""

from prometheus_client import Counter, Histogram

CALLS = Counter(
    "sentineliq_enricher_calls_total",
    "Calls to providers, by their outcome.",
    ["enricher", "outcome"],
)
CALL_SECONDS = Histogram(
    "sentineliq_enricher_call_seconds", "Seconds until a provider had answered.", ["enricher"]
)

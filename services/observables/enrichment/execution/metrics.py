"""What remote enrichment counts."""

from prometheus_client import Counter, Histogram

CALLS = Counter(
    "sentineliq_enricher_calls_total",
    "Calls to providers, by what came of them.",
    ["enricher", "outcome"],
)
CALL_SECONDS = Histogram(
    "sentineliq_enricher_call_seconds", "Time until a provider had answered.", ["enricher"]
)

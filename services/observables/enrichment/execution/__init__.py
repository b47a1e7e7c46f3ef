"""The enrichment worker: it leases queues, calls providers and stores outcomes."""

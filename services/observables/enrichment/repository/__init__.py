"""The SQL of remote enrichment."""

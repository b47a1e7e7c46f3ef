"""On-demand enrichment requests and their progress."""

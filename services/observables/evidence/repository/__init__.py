"""The SQL of evidence about sources."""

"""Reference data: allow-lists, networks, exploited vulnerabilities; packed once, then read where it lies."""

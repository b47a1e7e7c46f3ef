"""`sentineliq feeds`."""

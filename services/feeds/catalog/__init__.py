"""Catalog: the public feeds that ship with SentinelIQ, each a YAML file in `entries/`."""

"""The mitre service's SQL."""

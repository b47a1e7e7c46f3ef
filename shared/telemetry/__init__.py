"""Telemetry: structured logs, metrics and traces."""

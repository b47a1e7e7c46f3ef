"""Pushes: what a collection gets is sent to another system, from where the last push ended."""

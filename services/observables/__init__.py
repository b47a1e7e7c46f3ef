"""Observables: what is known about a value, who says so, how sure, since when, and why."""

from typing import Final

NAME: Final = "observables"
"""The service's name: its schema, its Celery queue, its place in addresses."""

"""Observables: values with their sources, scores, histories and reasons."""

from typing import Final

NAME: Final = "observables"
"""The service's name: its schema, its Celery queue, its place in addresses."""

EVENT_SOURCE: Final = "/services/observables"
"""The CloudEvents source of the service's events."""

"""The scheduler: schedules in PostgreSQL, and the Beats that put their tasks into the queues."""

from typing import Final

NAME: Final = "scheduler"
"""The service's name: its schema, its Celery queue, its place in addresses."""

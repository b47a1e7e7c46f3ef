"""The Celery queue of each service, for code that needs no Celery."""

from typing import Final

QUEUES: Final = {
    name: name for name in ("feeds", "observables", "notifications", "mitre", "gateway")
} | {"scheduler": "default"}
"""The queue of each service."""

"""What a worker answers over the broker: pings, and questions about its tasks.

Celery's other commands change a worker: they end it, let it forget tasks, or take its queue away.
Whoever reaches the broker could send them, since nothing of them is signed.
"""

from typing import Final

from celery.worker.control import Panel

QUESTIONS: Final = frozenset(
    {
        "active",
        "active_queues",
        "conf",
        "dump_active",
        "dump_reserved",
        "dump_revoked",
        "dump_schedule",
        "dump_tasks",
        "heartbeat",
        "liveness_seconds",
        "ping",
        "query_task",
        "query_tasks",
        "registered",
        "reserved",
        "revoked",
        "scheduled",
        "stats",
    }
)
"""Commands that change nothing. By `heartbeat`, Flower learns which workers there are."""


def limit_remote_control() -> None:
    """Let workers of this process know no other command."""
    for name in set(Panel.data) - QUESTIONS:
        del Panel.data[name]

"""The tasks that may be scheduled, by role."""

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from shared.auth import Role
from shared.errors import InvalidInput
from shared.runtime.queues import QUEUES

TENANT_TASKS: Final[dict[str, str]] = {
    "feeds.tasks.start_feed": "Fetch one of the tenant's feeds; args are the feed's id.",
}
"""Tasks that a tenant may schedule, with their effect. An operator may schedule every task."""

_FEED_TASK: Final = "feeds.tasks.start_feed"

_TASK = re.compile(r"([a-z]+)\.tasks\.[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


def queue_for(task: str, role: Role) -> str:
    """The queue of a task that a principal with this role may schedule.

    Raises:
        InvalidInput: it is no task's name, or this role may not schedule it; field `task`.
    """
    match = _TASK.fullmatch(task)
    if match is None or match[1] not in QUEUES:
        raise InvalidInput(
            f"A task is named <service>.tasks.<verb_noun>; the services are {', '.join(QUEUES)}.",
            field="task",
        )
    if role < Role.operator and task not in TENANT_TASKS:
        raise InvalidInput(
            f"{task} cannot be scheduled here; {' and '.join(TENANT_TASKS)} can.", field="task"
        )
    return QUEUES[match[1]]


def check_args(task: str, args: Sequence[Any]) -> None:
    """Require of a task that tenants schedule that its arguments are such as it takes.

    Raises:
        InvalidInput: they are not, with what is expected; field `args`.
    """
    if task != _FEED_TASK:
        return
    if len(args) != 1 or not _is_uuid(args[0]):
        raise InvalidInput(
            f"{task} takes one argument, the id of a feed: a UUID such as "
            "0192f0c1-7d3e-7a50-9c5e-2f6a1b3c4d5e.",
            field="args",
        )


def _is_uuid(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False

"""The tasks that may be scheduled, by role."""

import re
from typing import Final

from shared.auth import Role
from shared.errors import InvalidInput
from shared.runtime.queues import QUEUES

TENANT_TASKS: Final[dict[str, str]] = {
    "feeds.tasks.start_feed": "Fetch one of the tenant's feeds; args are the feed's id.",
}
"""Tasks that a tenant may schedule, with their effect. An operator may schedule every task."""

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

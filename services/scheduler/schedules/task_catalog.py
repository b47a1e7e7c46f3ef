"""Which tasks may be put on a schedule, and by whom."""

import re
from typing import Final

from shared.auth import Role
from shared.errors import InvalidInput
from shared.runtime.queues import QUEUES

TENANT_TASKS: Final[dict[str, str]] = {
    "feeds.tasks.start_feed": "Fetch one of the tenant's feeds; args are the feed's id.",
}
"""What a tenant may schedule, with what it does. An operator may schedule any task of any service."""

_TASK = re.compile(r"([a-z]+)\.tasks\.[a-z][a-z0-9]*(?:_[a-z0-9]+)+")


def queue_for(task: str, role: Role) -> str:
    """The queue of a task that somebody of this role may schedule.

    Raises:
        InvalidInput: it is not the name of a task, or not one for this role; field `task`.
    """
    matched = _TASK.fullmatch(task)
    if matched is None or matched[1] not in QUEUES:
        raise InvalidInput(
            f"A task is named <service>.tasks.<verb_noun>; the services are {', '.join(QUEUES)}.",
            field="task",
        )
    if role < Role.operator and task not in TENANT_TASKS:
        raise InvalidInput(
            f"{task} cannot be scheduled here; {' and '.join(TENANT_TASKS)} can.", field="task"
        )
    return QUEUES[matched[1]]

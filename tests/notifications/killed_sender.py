"""A process that ends digests, silences or quiet hours, and is killed before its n-th statement.

    python -m tests.notifications.killed_sender digests 7

It exits with 0 if it got through with fewer statements.
"""

import os
import signal
import sys
from typing import Any

import sqlalchemy as sa

from services.notifications.deliveries.summaries import release_quiet
from services.notifications.digests.service import send_due_digests
from services.notifications.groups.windows import end_due_windows
from shared.database import database

WORK = {"digests": send_due_digests, "silences": end_due_windows, "quiet": release_quiet}


def main(work: str, fatal: int) -> None:
    own = database("notifications")
    count = 0

    @sa.event.listens_for(own.engine, "before_cursor_execute")
    def note_statement(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    WORK[work](own)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""One supervisor per data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentineliq.local.errors import StackError
from shared.private_files import close_folder


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Lock a data folder, which is made when missing. The lock ends with the process.

    The folder is the account's alone; one that an earlier version has left open is closed.

    Raises:
        StackError: another process holds the lock; the message names its id.
    """
    close_folder(data_dir)
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise StackError(
                f"{data_dir} is in use by process {holder}: stop it (Ctrl-C, or kill), or choose "
                "another folder with --data-dir"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield

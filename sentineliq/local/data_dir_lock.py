"""One supervisor per data folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sentineliq.local.errors import StackError


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Hold a data folder, made when missing. The lock goes with the process, however it ends.

    Raises:
        StackError: another process holds it; names its id.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StackError(
                f"{data_dir} is in use by process {file.read().strip() or 'unknown'}: stop it (Ctrl-C, or kill), or "
                "choose another folder with --data-dir"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield

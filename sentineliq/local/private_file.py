"""Files with secrets."""

import os
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Replace a file in one step; only its owner can ever read it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w") as file:  # noqa: PTH123  # a descriptor, not a path
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

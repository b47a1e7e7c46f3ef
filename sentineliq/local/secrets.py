"""The stack's secrets: made at the first start, readable by the data folder's owner alone."""

import json
import secrets
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from sentineliq.local.errors import StackError
from sentineliq.local.private_file import write_private

_FILE = "secrets.json"


@dataclass(frozen=True, repr=False)
class Secrets:
    """Passwords and keys, 43 URL-safe characters each (256 bits)."""

    database_password: str
    valkey_password: str
    secret_key: str


def load_secrets(data_dir: Path) -> Secrets:
    """The secrets of a data folder; makes them when there are none.

    Raises:
        StackError: the file exists and cannot be used.
    """
    path = data_dir / _FILE
    names = [field.name for field in fields(Secrets)]
    if not path.exists():
        fresh = Secrets(**{name: secrets.token_urlsafe(32) for name in names})
        write_private(path, json.dumps(asdict(fresh), indent=2) + "\n")
        return fresh
    try:
        stored = json.loads(path.read_text())
        return Secrets(**{name: str(stored[name]) for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackError(
            f"{path} cannot be used ({error!r}): restore it from a backup; the stored data needs "
            "its passwords"
        ) from error

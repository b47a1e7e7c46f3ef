"""The environment that a stack stores for the commands that talk to it."""

import json
from collections.abc import Mapping
from pathlib import Path

from sentineliq.local.errors import StackError
from shared.private_files import write_private

_FILE = "environment.json"
_PREFIXES = ("SENTINELIQ_", "DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_")
"""Variables that concern SentinelIQ; others are not stored."""


def store_environment(data_dir: Path, environment: Mapping[str, str]) -> None:
    """Store where the stack of a data folder listens, and its secrets."""
    stored = {name: value for name, value in environment.items() if name.startswith(_PREFIXES)}
    write_private(data_dir / _FILE, json.dumps(stored, indent=2) + "\n")


def stored_environment(data_dir: Path) -> dict[str, str]:
    """Where the stack of a data folder listens and which secrets it has, as it was last started.

    Raises:
        StackError: it was never started.
    """
    try:
        stored: dict[str, str] = json.loads((data_dir / _FILE).read_text())
    except FileNotFoundError:
        raise StackError(f"no stack was started in {data_dir} yet: run `sentineliq up`") from None
    return stored

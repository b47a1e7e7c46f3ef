"""The keys of each service in a file of its own, which its processes read again when it changes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from shared.keys import Key, bundle_json, read_bundle
from shared.private_files import write_private

_FOLDER: Final = "keys"


def key_file(data_dir: Path, service: str) -> Path:
    """Where the keys of a service are."""
    return data_dir / _FOLDER / f"{service}.json"


def read_key_file(data_dir: Path, service: str) -> list[Key]:
    """The keys that the processes of a service have, in order; none before they have any.

    Raises:
        ValueError: the file is damaged.
    """
    path = key_file(data_dir, service)
    return read_bundle(path.read_text()) if path.exists() else []


def stored_urls(data_dir: Path, service: str) -> dict[str, str]:
    """What stands in the place of settings in the file of a service; none if there is no file."""
    try:
        document = json.loads(key_file(data_dir, service).read_text())
    except FileNotFoundError:
        return {}
    return dict(document.get("urls", {}))


def write_key_file(
    data_dir: Path, service: str, keys: Iterable[Key], urls: Mapping[str, str]
) -> None:
    """Replace the keys of a service.

    Args:
        data_dir: the installation's.
        service: its name.
        keys: those that its processes need.
        urls: the addresses of servers with its logins, and its login of Kafka, by setting.
    """
    path = key_file(data_dir, service)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, bundle_json(keys, urls) + "\n")

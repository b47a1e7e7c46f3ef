"""The keys of each service in a file of its own, which its processes read again when it changes."""

from pathlib import Path

from sentineliq.local.private_file import write_private
from shared.keys import DerivedKeys, bundle_json, granted_keys
from shared.settings import SERVICES

_FOLDER = "keys"


def key_file(data_dir: Path, service: str) -> Path:
    """Where the keys of a service are."""
    return data_dir / _FOLDER / f"{service}.json"


def write_key_files(data_dir: Path, keys: DerivedKeys) -> None:
    """Replace the keys of all services by those that they need of an installation's."""
    (data_dir / _FOLDER).mkdir(mode=0o700, exist_ok=True)
    for service in SERVICES:
        text = bundle_json(granted_keys(service, keys))
        write_private(key_file(data_dir, service), text + "\n")

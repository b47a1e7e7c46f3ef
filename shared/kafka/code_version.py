"""The version of a service's code: of what is installed, and of what is in its files."""

from functools import cache
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]


@cache
def code_version(service: str) -> str:
    """Return the release and a digest of the service's and the shared source files.

    Code that was changed in place is another version, also within a release.
    """
    try:
        release = metadata.version("sentineliq")
    except metadata.PackageNotFoundError:
        release = "0"
    digest = blake2b(digest_size=6)
    for folder in ("shared", f"services/{service}"):
        for path in sorted((_ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(_ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return f"{release}+{digest.hexdigest()}"

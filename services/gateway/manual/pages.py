"""The files of the manual, by their path. They are loaded once; no request names a path to read."""

from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

SITE: Final = Path(__file__).parent / "site"
"""Where `make manual` builds the pages, and packages hold them."""

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".yaml": "text/plain; charset=utf-8",
}


class ManualFile(NamedTuple):
    """One file of the manual."""

    content: bytes
    media_type: str


def manual_files(site: Path = SITE) -> dict[str, ManualFile]:
    """The files by their path below the manual; none until it is built."""
    files = _load(site)
    if not files:
        _load.cache_clear()
    return files


@cache
def _load(site: Path) -> dict[str, ManualFile]:
    paths = [path for path in sorted(site.rglob("*")) if path.suffix in _TYPES and path.is_file()]
    return {
        path.relative_to(site).as_posix(): ManualFile(path.read_bytes(), _TYPES[path.suffix])
        for path in paths
    }

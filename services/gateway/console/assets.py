"""The console's own files: scripts, styles and icons, under addresses that name their content."""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

_FOLDER: Final = Path(__file__).parent / "assets"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, with its gzip form for clients that accept it."""

    name: str
    content: bytes
    packed: bytes
    media_type: str
    digest: str


@cache
def assets() -> dict[str, Asset]:
    """All files by name."""
    files = [path for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES]
    return {path.name: _load(path) for path in files}


def _load(path: Path) -> Asset:
    content = path.read_bytes()
    digest = sha256(content).hexdigest()[:_DIGITS]
    return Asset(
        path.name, content, gzip.compress(content, 9, mtime=0), _TYPES[path.suffix], digest
    )


def asset_path(name: str) -> str:
    """The path of a file below the console; another content has another path."""
    return f"/assets/{assets()[name].digest}/{name}"


def asset_response(name: str, digest: str, headers: Headers) -> Response | None:
    """A file for ever, since its address names its content; None if there is none.

    Args:
        name: the file's.
        digest: of the content that the page was rendered with; that of another version gets the
            present content, which browsers then do not keep.
        headers: of the request.
    """
    asset = assets().get(name)
    if asset is None:
        return None
    is_current = digest == asset.digest
    answer = {
        "Content-Type": asset.media_type,
        "Cache-Control": "public, max-age=31536000, immutable" if is_current else "no-store",
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if "gzip" not in headers.get("accept-encoding", ""):
        return Response(asset.content, headers=answer)
    return Response(asset.packed, headers={**answer, "Content-Encoding": "gzip"})

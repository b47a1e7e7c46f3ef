"""The addresses that consumers poll: files with validators, ranges and encodings.

They authenticate by the token of a consumer, in the path or as the password of HTTP basic
authentication, since many devices can send nothing else.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from email.utils import format_datetime, parsedate_to_datetime
from hashlib import sha256
from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response

from services.observables.dissemination.consumers.polls import NO_ACCESS, Polls, ReadyFile
from services.observables.dissemination.files.service import IDENTITY
from services.observables.list_formats.misp_event import event_uuid
from shared.errors import NotFound, Unauthenticated, Unavailable

router = APIRouter(tags=["polled lists"])

PREFIX: Final = "/lists/"
"""Begins the paths whose routes ask for the token of a consumer."""
Token = Annotated[str, Path(min_length=1, max_length=100)]
FileName = Annotated[str, Path(min_length=3, max_length=120)]
_FOLDER_SUFFIX: Final = ".misp"
_FOLDER_FILES: Final = {"manifest.json": ".misp-manifest", "hashes.csv": ".misp-hashes"}
"""The files of a MISP feed, and the endings of the formats that write them."""
_ATTEMPTS: Final = 3
_ENCODINGS: Final = ("zstd", "gzip")
_CACHE: Final = "private, no-cache"
_PLACE: Final = re.compile(r"[0-9]{1,15}")
"""A place in a file; a longer number is that of no file."""


@router.get("/lists/{token}/{file_name}", response_class=Response)
@router.head("/lists/{token}/{file_name}", include_in_schema=False)
def poll_file(request: Request, token: Token, file_name: FileName) -> Response:
    """Poll a list: the token of a consumer, then the list's name and the ending of a format."""
    try:
        return _answer(request, token, file_name)
    except Unauthenticated:
        # As for a list that does not exist: whoever comes by a token learns not whether it counts.
        raise NotFound(NO_ACCESS) from None


@router.get("/lists/{token}/{folder}/{file_name}", response_class=Response)
@router.head("/lists/{token}/{folder}/{file_name}", include_in_schema=False)
def poll_misp_feed(
    request: Request, token: Token, folder: FileName, file_name: FileName
) -> Response:
    """Poll a list as a MISP feed: its folder is the list's name and `.misp`.

    A feed has a manifest, hashes, and the list's event, whose name is the id of the event.
    """
    name = folder.removesuffix(_FOLDER_SUFFIX)
    ending = _FOLDER_FILES.get(file_name, _FOLDER_SUFFIX)
    if name == folder:
        raise NotFound(NO_ACCESS)
    try:
        if ending == _FOLDER_SUFFIX:
            _require_event(_find(request, token, folder), file_name)
        return _answer(request, token, name + ending)
    except Unauthenticated:
        raise NotFound(NO_ACCESS) from None


@router.get("/lists/{file_name}", response_class=Response)
@router.head("/lists/{file_name}", include_in_schema=False)
def poll_file_basic(request: Request, file_name: FileName) -> Response:
    """Poll a list with the token of a consumer as password, or as bearer token."""
    token = _header_token(request.headers.get("authorization", ""))
    try:
        return _answer(request, token, file_name)
    except NotFound:
        raise Unauthenticated(NO_ACCESS) from None


def _answer(request: Request, token: str, file_name: str) -> Response:
    polls: Polls = request.app.state.polls
    for _ in range(_ATTEMPTS):
        ready = _find(request, token, file_name)
        encoding = _encoding(request.headers.get("accept-encoding", ""))
        headers = _headers(ready, encoding)
        if _is_unchanged(request.headers, headers["ETag"], ready):
            return Response(status_code=304, headers=headers)
        if request.method == "HEAD" and encoding == IDENTITY:
            return _head(ready, headers, ready.list.size or 0)
        content = polls.content(ready, encoding)
        if content is not None and request.method == "HEAD":
            return _head(ready, headers, len(content))
        if content is not None:
            return _content(request, ready, headers, content)
    raise Unavailable("The list changes faster than it can be read; ask again.")


def _find(request: Request, token: str, file_name: str) -> ReadyFile:
    polls: Polls = request.app.state.polls
    address = request.client.host if request.client else ""
    return polls.find(token, file_name, address, request.headers.get("user-agent", ""))


def _require_event(ready: ReadyFile, file_name: str) -> None:
    if file_name != f"{event_uuid(ready.list.list_id)}.json":
        raise NotFound(NO_ACCESS)


def _head(ready: ReadyFile, headers: dict[str, str], size: int) -> Response:
    length = {"Content-Length": str(size)}
    return Response(headers=headers | length, media_type=ready.media_type)


def _content(
    request: Request, ready: ReadyFile, headers: dict[str, str], content: bytes
) -> Response:
    """The whole file, or the part of it that the request wants."""
    headers |= _digests(ready, headers, content)
    span = request.headers.get("range")
    if span is None or not _holds_range(request.headers, headers["ETag"]):
        return Response(content, headers=headers, media_type=ready.media_type)
    part = _range(span, len(content))
    if part is None:
        return Response(content, headers=headers, media_type=ready.media_type)
    first, behind = part
    if first >= behind:
        unsatisfied = {"Content-Range": f"bytes */{len(content)}"}
        return Response(status_code=416, headers=headers | unsatisfied)
    place = {"Content-Range": f"bytes {first}-{behind - 1}/{len(content)}"}
    headers.pop("Content-Digest")  # it is about the whole
    return Response(
        content[first:behind], 206, headers=headers | place, media_type=ready.media_type
    )


def _headers(ready: ReadyFile, encoding: str) -> dict[str, str]:
    digest = ready.digest
    tag = digest.hex()[:32] + ("" if encoding == IDENTITY else f"-{encoding}")
    moment = ready.list.changed_at
    headers = {
        "ETag": f'"{tag}"',
        "Cache-Control": _CACHE,
        "Vary": "Accept-Encoding",
        "Accept-Ranges": "bytes",
        "X-Content-Type-Options": "nosniff",
        "X-List-Version": str(ready.list.number),
        "X-List-Entries": str(ready.list.entries),
    }
    if encoding != IDENTITY:
        headers["Content-Encoding"] = encoding
    if moment is not None:
        headers["Last-Modified"] = format_datetime(moment, usegmt=True)
    return headers


def _digests(ready: ReadyFile, headers: Mapping[str, str], content: bytes) -> dict[str, str]:
    """RFC 9530: digests are of the bytes that are sent, encoded as they are."""
    is_encoded = "Content-Encoding" in headers
    digest = sha256(content).digest() if is_encoded else ready.digest
    text = f"sha-256=:{base64.b64encode(digest).decode()}:"
    return {"Repr-Digest": text, "Content-Digest": text}


def _is_unchanged(headers: Mapping[str, str], tag: str, ready: ReadyFile) -> bool:
    """Whether the consumer has what it would get; a tag counts more than a time."""
    tags = headers.get("if-none-match")
    if tags is not None:
        names = [each.strip().removeprefix("W/") for each in tags.split(",")]
        return "*" in names or tag in names
    since = headers.get("if-modified-since")
    moment = ready.list.changed_at
    if since is None or moment is None:
        return False
    try:
        return parsedate_to_datetime(since) >= moment.replace(microsecond=0)
    except (TypeError, ValueError):
        return False


def _holds_range(headers: Mapping[str, str], tag: str) -> bool:
    """Whether a range is of the version that there is."""
    condition = headers.get("if-range")
    return condition is None or condition.strip() == tag


def _range(text: str, size: int) -> tuple[int, int] | None:
    """The first byte of a range, and the one behind its last; None for what is no such range."""
    unit, _, span = text.partition("=")
    first, dash, last = span.strip().partition("-")
    is_number = all(not part or _PLACE.fullmatch(part) for part in (first, last))
    if unit.strip().lower() != "bytes" or not dash or not is_number or not (first or last):
        return None
    if not first:
        return max(0, size - int(last)), size if int(last) else 0
    if last and int(last) < int(first):
        return None
    return int(first), min(size, int(last) + 1 if last else size)


def _encoding(accepted: str) -> str:
    """The encoding that a request accepts, the smallest first."""
    names = set()
    for part in accepted.lower().split(","):
        name, _, quality = part.partition(";")
        if quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}:
            names.add(name.strip())
    return next((each for each in _ENCODINGS if each in names), IDENTITY)


def _header_token(authorization: str) -> str:
    """The token in a header: the password of basic authentication, or a bearer token.

    Raises:
        Unauthenticated: there is none.
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, ValueError):
            raise Unauthenticated("This is no HTTP basic authentication.") from None
    raise Unauthenticated("Send the token of a consumer, in the address or as a password.")

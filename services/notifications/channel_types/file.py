"""The file channel: a line of JSON for each notification, below the operator's folder.

An operator allows it by the setting `SENTINELIQ_NOTIFICATION_FOLDER`; every tenant has a folder of
its own in it. Files are opened anew for each line, so that they can be moved away.
"""

import asyncio
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MAX_MATCHES,
    MessageLimits,
    Notification,
    Receipt,
    RenderedMessage,
)
from shared.errors import InvalidInput, UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance
from shared.settings import load_settings

MAX_FILE: Final = 1 << 30
"""Bytes of a file; a larger one takes no more lines until it is moved away."""
_TAIL: Final = 1 << 20
_LOCK_SECONDS: Final = 5.0
_SEPARATORS: Final = (
    ("\x85".encode(), b"\\u0085"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""Characters that JSON need not escape, and at which some readers end a line."""


class FileConfig(BaseModel):
    """The name of the file."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,90}\.jsonl$", title="Such as soc.jsonl")


class FileChannel:
    """Appends a line to a file, and looks for it after an attempt whose end is not known."""

    name: ClassVar[str] = "file"
    config: type[FileConfig] = FileConfig
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits()

    async def check(self, config: FileConfig, allow: tuple[Allowance, ...]) -> None:  # noqa: ARG002
        """Refuse the channel where no operator allows it."""
        _folder()

    def render(
        self,
        notification: Notification,
        config: FileConfig,  # noqa: ARG002  # part of the protocol
    ) -> RenderedMessage:
        """The line."""
        matches = notification.matches[:MAX_MATCHES]
        document = {
            "id": notification.id,
            "time": notification.created_at,
            "kind": notification.kind,
            "severity": notification.severity,
            "rule": notification.rule,
            "source": notification.source,
            "group": notification.group_id,
            "labels": notification.labels,
            "match_count": notification.match_count,
            "matches": matches,
            "left_out": wording.left_out(notification, len(matches)),
            "url": notification.url,
        }
        line = exchange.encode(document) + b"\n"
        for separator, escape in _SEPARATORS:
            line = line.replace(separator, escape)
        return RenderedMessage((line,), "application/jsonl", len(matches))

    async def send(
        self,
        notification: Notification,
        config: FileConfig,
        secret: str | None,  # noqa: ARG002  # part of the protocol
        client: GuardedClient,  # noqa: ARG002  # part of the protocol
    ) -> Receipt:
        """Append the line, and wait until it is on the disk.

        Raises:
            UpstreamError: the file is full, no file, or cannot be written.
        """
        line = self.render(notification, config).parts[0]
        await asyncio.to_thread(_append, _path(notification, config), line)
        return Receipt(reference=config.name)

    async def find(
        self,
        notification: Notification,
        config: FileConfig,
        secret: str | None,  # noqa: ARG002  # part of the protocol
        client: GuardedClient,  # noqa: ARG002  # part of the protocol
    ) -> Receipt | None:
        """Look for the line at the end of the file."""
        tail = await asyncio.to_thread(_read_tail, _path(notification, config))
        line = self.render(notification, config).parts[0]
        return Receipt(reference=config.name) if line in tail else None


def _folder() -> Path:
    folder = load_settings().notification_folder
    if folder is None:
        raise InvalidInput(
            "No operator allows files: SENTINELIQ_NOTIFICATION_FOLDER is not set.", field="kind"
        )
    return folder


def _path(notification: Notification, config: FileConfig) -> Path:
    # A tenant's name begins with no dot once it is quoted so.
    return _folder() / f"tenant-{quote(notification.tenant, safe='')}" / config.name


def _append(path: Path, line: bytes) -> None:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, flags, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UpstreamError(f"{path.name} is no file.")
            _lock(descriptor, path)
            line = _on_new_line(descriptor, line)
            size = os.fstat(descriptor).st_size
            if size + len(line) > MAX_FILE:
                raise UpstreamError(f"The file {path.name} is full: move it away.")
            _write_whole(descriptor, line, size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UpstreamError(f"The file {path.name} cannot be written: {error.strerror}.") from error


def _lock(descriptor: int, path: Path) -> None:
    """Keep other workers from the file until it is closed: theirs would be cut with our line.

    Raises:
        UpstreamError: another program has kept it for seconds.
    """
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise UpstreamError(f"Another program keeps the file {path.name}.") from None
            time.sleep(0.01)
        else:
            return


def _on_new_line(descriptor: int, line: bytes) -> bytes:
    """The line, behind the end of one that a killed worker has left half."""
    size = os.fstat(descriptor).st_size
    is_whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
    return line if is_whole else b"\n" + line


def _write_whole(descriptor: int, line: bytes, size: int) -> None:
    """Write a whole line or none of it: a full disk leaves no half line."""
    written = os.write(descriptor, line)
    if written != len(line):
        os.ftruncate(descriptor, size)
        raise OSError(28, "the disk is full")


def _read_tail(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise UpstreamError(f"The file {path.name} cannot be read: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
        return file.read()

"""The files of the feeds' snapshots: a folder for each feed, a file for its present snapshot."""

import time
from collections.abc import Container
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from services.feeds.snapshots.snapshot import DamagedSnapshot, FeedSnapshot
from shared.durable_files import file_digest, folder_id, sync_folder

_GRACE_SECONDS: Final = 24 * 3600.0
"""A run that has not ended yet may still use a file that is younger."""


class SnapshotStore:
    """The snapshots of an installation.

    Args:
        data_dir: the installation's data folder.

    Attributes:
        folder_id: the id of that data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        # The folder's name is older than the word snapshot.
        self._folder = data_dir / "versions"
        self.folder_id = folder_id(data_dir)

    def check(self, feed_id: UUID, name: str, data_folder: str | None) -> None:
        """Check that a snapshot's file is there; whether it is intact turns out when it is read.

        Args:
            feed_id: the feed.
            name: of the file.
            data_folder: id of the data folder it was written to; None when that is not known.

        Raises:
            DamagedSnapshot: it is not there, or was written to another data folder.
        """
        if data_folder is not None and data_folder != self.folder_id:
            raise DamagedSnapshot("The version of the feed was written to another data folder.")
        if not self._path(feed_id, name).is_file():
            raise DamagedSnapshot("The version of the feed is not in the data folder any more.")

    def load(self, feed_id: UUID, name: str, data_folder: str | None = None) -> FeedSnapshot:
        """Read a snapshot.

        Raises:
            DamagedSnapshot: the file is gone, cut off, changed, or from another data folder.
        """
        return FeedSnapshot.load(self.verified_path(feed_id, name, data_folder))

    def verified_path(self, feed_id: UUID, name: str, data_folder: str | None = None) -> Path:
        """The file of a snapshot, if it is what its name says.

        Raises:
            DamagedSnapshot: the file is gone, changed, or from another data folder.
        """
        self.check(feed_id, name, data_folder)
        path = self._path(feed_id, name)
        digest, separator, _ = name.partition("-")
        # Names of older versions say nothing.
        if separator and file_digest(path) != digest:
            raise DamagedSnapshot("A version of the feed is not what its name says.")
        return path

    def save(self, feed_id: UUID, snapshot: FeedSnapshot) -> str:
        """Write a snapshot beside the feed's present one; the name of its file.

        The name is the digest of the content and a part of its own: two snapshots with the same
        content are two files, so that one can be removed while a feed is at the other.
        """
        folder = self._folder / str(feed_id)
        folder.mkdir(parents=True, exist_ok=True)
        unique = uuid4().hex[:12]
        partial = folder / f"{unique}.part"
        try:
            snapshot.save(partial)
            name = f"{file_digest(partial)}-{unique}.zst"
            partial.replace(folder / name)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(folder)
        return name

    def remove(self, feed_id: UUID, name: str) -> None:
        """Remove a snapshot that was replaced."""
        self._path(feed_id, name).unlink(missing_ok=True)

    def _path(self, feed_id: UUID, name: str) -> Path:
        return self._folder / str(feed_id) / name

    def prune(self, referenced: Container[str]) -> int:
        """Remove the snapshots that no feed is at any more; how many there were.

        Args:
            referenced: `<feed id>/<file name>` of those that stay.
        """
        oldest = time.time() - _GRACE_SECONDS
        unreferenced = [
            path
            for path in self._folder.glob("*/*")
            if f"{path.parent.name}/{path.name}" not in referenced and path.stat().st_mtime < oldest
        ]
        for path in unreferenced:
            path.unlink(missing_ok=True)
        return len(unreferenced)

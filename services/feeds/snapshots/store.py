"""The files of the feeds' snapshots: a folder for each feed, a file for its present snapshot."""

import time
from collections.abc import Container
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from services.feeds.snapshots.snapshot import FeedSnapshot

_GRACE_SECONDS: Final = 24 * 3600.0
"""A run that has not ended yet may still use a file that is younger."""


class SnapshotStore:
    """The snapshots of an installation.

    Args:
        data_dir: the installation's data folder.
    """

    def __init__(self, data_dir: Path) -> None:
        # The folder's name is older than the word snapshot.
        self._folder = data_dir / "versions"

    def load(self, feed_id: UUID, name: str) -> FeedSnapshot:
        """Read a snapshot.

        Raises:
            DamagedSnapshot: the file is gone, cut off or changed.
        """
        return FeedSnapshot.load(self._folder / str(feed_id) / name)

    def save(self, feed_id: UUID, snapshot: FeedSnapshot) -> str:
        """Write a snapshot beside the feed's present one; the name of its file."""
        name = f"{uuid4().hex}.zst"
        snapshot.save(self._folder / str(feed_id) / name)
        return name

    def remove(self, feed_id: UUID, name: str) -> None:
        """Remove a snapshot that was replaced."""
        (self._folder / str(feed_id) / name).unlink(missing_ok=True)

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

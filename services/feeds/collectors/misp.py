"""MISP feeds: a folder with a manifest, a file for each event, and hashes of all values.

Source: the MISP feed format, as `misp-feed` publishes it (https://www.misp-project.org/feeds/).
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import ClassVar, Final, Literal

from services.feeds.collectors.base import FeedSource, FetchedDocument
from services.feeds.collectors.http import url_with_credentials
from services.feeds.collectors.misp_events import (
    EventSelection,
    MispEvent,
    MispFeedOptions,
    find_events,
)
from services.feeds.formats.base import read_options
from shared.http import Download, GuardedClient, Limits, UpstreamStatus
from shared.http.limits import GIB, MIB
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_MANIFEST_LIMITS: Final = Limits(total=300.0, max_bytes=64 * MIB, max_expanded=256 * MIB)
_HASHES_LIMITS: Final = Limits(total=1800.0, max_bytes=2 * GIB, max_expanded=8 * GIB)
_MAX_AHEAD: Final = 4
"""Events that are fetched before they are needed."""
_MISSING_STATUSES: Final = frozenset({403, 404, 410})


class MispCollector:
    """Fetches the events of a MISP feed that were published since the last run, oldest first.

    The cursor is the time of the newest event that was processed, with the events of that second.

    An event whose time moves back is not fetched again. An event that leaves the manifest retracts
    nothing, since MISP retracts by `deleted` attributes. An event whose file is missing is skipped
    until its next publication. Without a manifest the events are those that `hashes.csv` names.
    See `MispFeedOptions`.
    """

    name: ClassVar[str] = "misp"
    whole: ClassVar[bool] = False

    async def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """See `Collector.collect`."""
        options = read_options(MispFeedOptions, source.options, "collector_options")
        folder = _FeedFolder(source, client, scratch)
        newest = int(source.cursor.get("timestamp", -1))
        at_newest = set(source.cursor.get("events", ()))
        events = await folder.events(options, newest, at_newest)
        number = 0
        async for event, download in folder.fetch(events):
            number += 1
            at_newest = {event.uuid} if event.timestamp > newest else at_newest | {event.uuid}
            newest = event.timestamp
            if download is None:
                continue
            cursor = {"timestamp": newest, "events": sorted(at_newest)}
            # With this etag the next run fetches nothing, so it stands behind the last event only.
            if number == len(events) and folder.etag:
                cursor["etag"] = folder.etag
            yield FetchedDocument(
                f"event {event.uuid}", scratch / event.uuid, cursor, download.bytes_received, "misp"
            )


class _FeedFolder:
    """The files of a feed.

    Attributes:
        etag: of the manifest, once it was fetched.
    """

    def __init__(self, source: FeedSource, client: GuardedClient, scratch: Path) -> None:
        self._source = source
        self._client = client
        self._scratch = scratch
        self.etag: str | None = None

    async def events(
        self, options: MispFeedOptions, newest: int, at_newest: set[str]
    ) -> list[MispEvent]:
        """The events to fetch, oldest first; none if the manifest is the same as last time.

        Raises:
            InvalidInput: a file of the feed is not what its name says.
            TooLargeInput: it names too many events.
        """
        last_etag = self._source.cursor.get("etag")
        conditions = {"If-None-Match": last_etag} if last_etag else {}
        name: Literal["manifest.json", "hashes.csv"] = "manifest.json"
        path = self._scratch / name
        try:
            download = await self._download(name, path, conditions, _MANIFEST_LIMITS)
            if download.status == 304:
                return []
            self.etag = download.headers.get("etag")
        except UpstreamStatus as refusal:
            if refusal.upstream_status != 404:
                raise
            name = "hashes.csv"
            path = self._scratch / name
            await self._download(name, path, limits=_HASHES_LIMITS)
        selection = EventSelection(name, options, newest, sorted(at_newest))
        try:
            with path.open("rb") as file:
                return await asyncio.to_thread(find_events, file, selection)
        finally:
            path.unlink(missing_ok=True)

    async def fetch(
        self, events: list[MispEvent]
    ) -> AsyncGenerator[tuple[MispEvent, Download | None], None]:
        """Each event with the download of its file, which is None if the file is missing.

        The files are in the scratch folder under the events' ids; a few are fetched ahead.
        """
        waiting: deque[tuple[MispEvent, asyncio.Task[Download | None]]] = deque()
        rest = iter(events)
        try:
            while True:
                while len(waiting) < _MAX_AHEAD and (event := next(rest, None)) is not None:
                    waiting.append((event, asyncio.create_task(self._fetch_event(event))))
                if not waiting:
                    return
                event, task = waiting.popleft()
                yield event, await task
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    async def _fetch_event(self, event: MispEvent) -> Download | None:
        try:
            return await self._download(f"{event.uuid}.json", self._scratch / event.uuid)
        except UpstreamStatus as refusal:
            if refusal.upstream_status not in _MISSING_STATUSES:
                raise
            log.warning("misp.event_missing", event_uuid=event.uuid, status=refusal.upstream_status)
            return None

    async def _download(
        self,
        name: str,
        path: Path,
        headers: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> Download:
        base = self._source.url.removesuffix("manifest.json").rstrip("/")
        url = url_with_credentials(f"{base}/{name}", self._source.credentials)
        auth = self._source.credentials.headers
        return await self._client.download(url, path, headers, auth_headers=auth, limits=limits)

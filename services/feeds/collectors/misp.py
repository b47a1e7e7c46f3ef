"""MISP feeds: a folder with a manifest, a file for each event, and hashes of all values.

Source: the MISP feed format, as `misp-feed` publishes it (https://www.misp-project.org/feeds/).
"""

import asyncio
import csv
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from services.feeds.collectors.base import FeedSource, FetchedDocument
from services.feeds.collectors.http import url_with_credentials
from services.feeds.formats.base import read_options
from shared.errors import InvalidInput
from shared.http import Download, GuardedClient, Limits, UpstreamStatus
from shared.http.limits import GIB, MIB
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_MANIFEST_LIMITS: Final = Limits(total=300.0, max_bytes=64 * MIB, max_expanded=256 * MIB)
_HASHES_LIMITS: Final = Limits(total=1800.0, max_bytes=2 * GIB, max_expanded=8 * GIB)
_MAX_AHEAD: Final = 4
"""Events that are fetched before they are needed."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MISSING_STATUSES: Final = frozenset({403, 404, 410})


class MispFeedOptions(msgspec.Struct, forbid_unknown_fields=True):
    """The events of a feed to fetch.

    Attributes:
        tags: only events with one of these tags.
        not_tags: no events with one of these tags.
        orgs: only events of these organisations, by name.
        after: only events dated from this day on, as 2026-01-31.
    """

    tags: list[str] = msgspec.field(default_factory=list)
    not_tags: list[str] = msgspec.field(default_factory=list)
    orgs: list[str] = msgspec.field(default_factory=list)
    after: str = ""


class _Event(NamedTuple):
    """An event in the manifest.

    Attributes:
        timestamp: when it was last published, in seconds since 1970.
        uuid: its id, which names its file.
    """

    timestamp: int
    uuid: str


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
        manifest = await folder.manifest()
        if manifest is None:
            return
        newest = int(source.cursor.get("timestamp", -1))
        at_newest = set(source.cursor.get("events", ()))
        events = sorted(
            event
            for event in _selected_events(manifest, options)
            if event.timestamp > newest
            or (event.timestamp == newest and event.uuid not in at_newest)
        )
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

    async def manifest(self) -> dict[str, Any] | None:
        """The feed's manifest: event id -> properties; None if it is the same as last time.

        Raises:
            InvalidInput: the file is no manifest.
        """
        last_etag = self._source.cursor.get("etag")
        path = self._scratch / "manifest.json"
        conditions = {"If-None-Match": last_etag} if last_etag else {}
        try:
            download = await self._download("manifest.json", path, conditions, _MANIFEST_LIMITS)
        except UpstreamStatus as refusal:
            if refusal.upstream_status != 404:
                raise
            return await self._manifest_from_hashes()
        if download.status == 304:
            return None
        self.etag = download.headers.get("etag")
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as problem:
            raise InvalidInput(
                f"manifest.json is no manifest of a MISP feed: {problem}", where="manifest.json"
            ) from None
        finally:
            path.unlink(missing_ok=True)

    async def _manifest_from_hashes(self) -> dict[str, Any]:
        """The events in `hashes.csv` (MD5 of a value, event): few, even if it has a gigabyte."""
        path = self._scratch / "hashes.csv"
        await self._download("hashes.csv", path, limits=_HASHES_LIMITS)
        try:
            uuids = await asyncio.to_thread(_second_column, path)
        finally:
            path.unlink(missing_ok=True)
        return {uuid: {"timestamp": 0} for uuid in uuids}

    async def fetch(
        self, events: list[_Event]
    ) -> AsyncGenerator[tuple[_Event, Download | None], None]:
        """Each event with the download of its file, which is None if the file is missing.

        The files are in the scratch folder under the events' ids; a few are fetched ahead.
        """
        waiting: deque[tuple[_Event, asyncio.Task[Download | None]]] = deque()
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

    async def _fetch_event(self, event: _Event) -> Download | None:
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


def _selected_events(manifest: dict[str, Any], options: MispFeedOptions) -> Iterator[_Event]:
    for uuid, properties in manifest.items():
        if not _UUID.fullmatch(uuid) or not isinstance(properties, dict):
            continue
        if not _is_selected(properties, options):
            continue
        timestamp = _seconds(properties.get("timestamp", 0))
        if timestamp is None:
            log.warning("misp.event_without_time", event_uuid=uuid)
            continue
        yield _Event(timestamp, uuid)


def _seconds(timestamp: Any) -> int | None:
    """Whole seconds since 1970 of a manifest's time, which some servers write with fractions."""
    try:
        return int(float(timestamp))
    except (TypeError, ValueError, OverflowError):
        return None


def _is_selected(properties: dict[str, Any], options: MispFeedOptions) -> bool:
    tags = _tag_names(properties.get("Tag"))
    organisation = properties.get("Orgc")
    name = organisation.get("name") if isinstance(organisation, dict) else None
    return (
        (not options.tags or not tags.isdisjoint(options.tags))
        and tags.isdisjoint(options.not_tags)
        and (not options.orgs or name in options.orgs)
        and str(properties.get("date", "")) >= options.after
    )


def _tag_names(tags: Any) -> set[Any]:
    if not isinstance(tags, list):
        return set()
    return {tag.get("name") for tag in tags if isinstance(tag, dict)}


def _second_column(path: Path) -> set[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return {row[1] for row in csv.reader(file) if len(row) == 2}

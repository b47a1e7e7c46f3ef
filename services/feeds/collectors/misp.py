"""A MISP feed: a folder with a manifest, an event in each file, and hashes of all values.

FeedSource: the MISP feed format, as `misp-feed` publishes it (https://www.misp-project.org/feeds/).
"""

import asyncio
import csv
import re
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
_AHEAD: Final = 4
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MISSING: Final = frozenset({403, 404, 410})


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Which events of a feed are wanted.

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
    """An event in the manifest: when it was published last, and its id."""

    timestamp: int
    uuid: str


class MispCollector:
    """Fetches the events of a MISP feed that were published since the last run, oldest first.

    The cursor is the time of the newest event that was taken, with the events of that second. An event whose time moves
    back is not seen again. One that leaves the manifest says nothing: MISP takes back by `deleted` attributes. A file
    that the manifest names and the server does not have is passed over, and comes with its next publication. Without a
    manifest the events are those that `hashes.csv` names. See `Options`.
    """

    name: ClassVar[str] = "misp"
    whole: ClassVar[bool] = False

    async def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """See `Collector.collect`."""
        options = read_options(Options, source.options, "collector_options")
        folder = _Folder(source, client, scratch)
        manifest = await folder.manifest()
        if manifest is None:
            return
        newest, at_newest = (
            int(source.cursor.get("timestamp", -1)),
            set(source.cursor.get("events", ())),
        )
        wanted = sorted(
            event
            for event in _events(manifest, options)
            if event.timestamp > newest
            or (event.timestamp == newest and event.uuid not in at_newest)
        )
        async for number, (event, answer) in _numbered(folder.fetch(wanted)):
            at_newest = {event.uuid} if event.timestamp > newest else at_newest | {event.uuid}
            newest = event.timestamp
            if answer is None:
                continue
            cursor = {"timestamp": newest, "events": sorted(at_newest)}
            if number == len(wanted) - 1 and folder.etag:
                cursor["etag"] = folder.etag
            yield FetchedDocument(
                f"event {event.uuid}", scratch / event.uuid, cursor, answer.bytes_received, "misp"
            )


class _Folder:
    """The files of a feed.

    Attributes:
        etag: of the manifest, once it was fetched.
    """

    def __init__(self, source: FeedSource, client: GuardedClient, scratch: Path) -> None:
        self._source = source
        self._client = client
        self._scratch = scratch
        self.etag: str | None = None

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

    async def manifest(self) -> dict[str, Any] | None:
        """What the feed says it holds; None when that is the same as last time.

        Raises:
            InvalidInput: it is no manifest.
        """
        known = self._source.cursor.get("etag")
        path = self._scratch / "manifest.json"
        try:
            answer = await self._download(
                "manifest.json", path, {"If-None-Match": known} if known else {}, _MANIFEST_LIMITS
            )
        except UpstreamStatus as refusal:
            if refusal.upstream_status != 404:
                raise
            return await self._from_hashes()
        if answer.status == 304:
            return None
        self.etag = answer.headers.get("etag")
        try:
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as problem:
            raise InvalidInput(
                f"manifest.json is no manifest of a MISP feed: {problem}", where="manifest.json"
            ) from None
        finally:
            path.unlink(missing_ok=True)

    async def _from_hashes(self) -> dict[str, Any]:
        """The events that `hashes.csv` (MD5 of a value, event) names: few, though the file may have a gigabyte."""
        path = self._scratch / "hashes.csv"
        await self._download("hashes.csv", path, limits=_HASHES_LIMITS)
        try:
            return await asyncio.to_thread(
                lambda: {uuid: {"timestamp": 0} for uuid in _second_column(path)}
            )
        finally:
            path.unlink(missing_ok=True)

    async def fetch(
        self, events: list[_Event]
    ) -> AsyncGenerator[tuple[_Event, Download | None], None]:
        """Each event's file, under its id in the scratch folder, a few of them ahead; None for one that is missing."""
        waiting: list[tuple[_Event, asyncio.Task[Download | None]]] = []
        rest = iter(events)
        try:
            while True:
                while len(waiting) < _AHEAD and (event := next(rest, None)) is not None:
                    waiting.append((event, asyncio.create_task(self._event(event))))
                if not waiting:
                    return
                event, task = waiting.pop(0)
                yield event, await task
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    async def _event(self, event: _Event) -> Download | None:
        try:
            return await self._download(f"{event.uuid}.json", self._scratch / event.uuid)
        except UpstreamStatus as refusal:
            if refusal.upstream_status not in _MISSING:
                raise
            log.warning("misp.event_missing", event_uuid=event.uuid, status=refusal.upstream_status)
            return None


def _events(manifest: dict[str, Any], options: Options) -> Iterator[_Event]:
    for uuid, about in manifest.items():
        if _UUID.fullmatch(uuid) and isinstance(about, dict) and _wanted(about, options):
            try:
                yield _Event(int(about.get("timestamp", 0)), uuid)
            except (TypeError, ValueError):
                raise InvalidInput(
                    f"The event {uuid} has no timestamp.", where="manifest.json"
                ) from None


def _wanted(about: dict[str, Any], options: Options) -> bool:
    listed = about.get("Tag")
    tags = (
        {tag.get("name") for tag in listed if isinstance(tag, dict)}
        if isinstance(listed, list)
        else set()
    )
    org = about.get("Orgc")
    name = org.get("name") if isinstance(org, dict) else None
    return (
        (not options.tags or not tags.isdisjoint(options.tags))
        and tags.isdisjoint(options.not_tags)
        and (not options.orgs or name in options.orgs)
        and str(about.get("date", "")) >= options.after
    )


def _second_column(path: Path) -> set[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        return {row[1] for row in csv.reader(file) if len(row) == 2}


async def _numbered(
    items: AsyncGenerator[tuple[_Event, Download | None], None],
) -> AsyncGenerator[tuple[int, tuple[_Event, Download | None]], None]:
    number = 0
    async for item in items:
        yield number, item
        number += 1

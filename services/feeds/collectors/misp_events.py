"""Which events of a MISP feed to fetch, by its manifest or its hashes, found in a child process.

A manifest of some megabytes can expand to many times its size, which a worker that holds leases
must not pay for.
"""

import csv
import re
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Any, BinaryIO, Final, Literal, NamedTuple

import msgspec

from services.feeds.sandbox import document_sandbox, run_limits
from shared.errors import InvalidInput, TooLargeInput
from shared.sandbox.files import reopened
from shared.settings import load_settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

MAX_EVENTS: Final = 200_000
"""Events that a feed may have published since the last run."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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


class MispEvent(NamedTuple):
    """An event that a feed publishes.

    Attributes:
        timestamp: when it was last published, in seconds since 1970.
        uuid: its id, which names its file.
    """

    timestamp: int
    uuid: str


class EventSelection(msgspec.Struct):
    """The events to find.

    Attributes:
        file: which file of the feed it is.
        options: of the collector.
        newest: the time of the newest event that was processed.
        at_newest: ids of the events of that second.
    """

    file: Literal["manifest.json", "hashes.csv"]
    options: MispFeedOptions
    newest: int
    at_newest: list[str]


class SelectedEvents(msgspec.Struct):
    """The events that were found, oldest first, and how many have no time."""

    events: list[MispEvent]
    timeless: int = 0


def find_events(file: BinaryIO, selection: EventSelection) -> list[MispEvent]:
    """Find the events to fetch; a child reads the file.

    Args:
        file: the feed's file.
        selection: which events.

    Raises:
        InvalidInput: the file is not what its name says, or takes too much to be read.
        TooLargeInput: it names more than `MAX_EVENTS` new events.
        Unavailable: other documents are still being read.
    """
    settings = load_settings()
    request = msgspec.msgpack.encode(selection)
    frame = document_sandbox(settings).call(
        events_job, request, [file.fileno()], run_limits(settings)
    )
    selected = msgspec.msgpack.decode(frame, type=SelectedEvents)
    if selected.timeless:
        log.warning("misp.events_without_time", count=selected.timeless)
    return selected.events


def events_job(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Find the events, in the child."""
    selection = msgspec.msgpack.decode(request, type=EventSelection)
    with reopened(files[0]) as file:
        yield msgspec.msgpack.encode(select_events(file, selection))


def select_events(file: BinaryIO, selection: EventSelection) -> SelectedEvents:
    """Find the events to fetch, in this process; see `find_events`."""
    if selection.file == "hashes.csv":
        return _new_events((MispEvent(0, uuid) for uuid in _second_column(file)), selection)
    try:
        manifest = msgspec.json.decode(file.read(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise InvalidInput(
            f"manifest.json is no manifest of a MISP feed: {problem}", where="manifest.json"
        ) from None
    timeless = 0
    events: list[MispEvent] = []
    for uuid, properties in manifest.items():
        if not _UUID.fullmatch(uuid) or not isinstance(properties, dict):
            continue
        if not _is_selected(properties, selection.options):
            continue
        timestamp = _seconds(properties.get("timestamp", 0))
        if timestamp is None:
            timeless += 1
        else:
            events.append(MispEvent(timestamp, uuid))
    selected = _new_events(events, selection)
    selected.timeless = timeless
    return selected


def _new_events(events: Iterable[MispEvent], selection: EventSelection) -> SelectedEvents:
    processed = set(selection.at_newest)
    new = sorted(
        event
        for event in events
        if event.timestamp > selection.newest
        or (event.timestamp == selection.newest and event.uuid not in processed)
    )
    if len(new) > MAX_EVENTS:
        raise TooLargeInput(
            f"{selection.file} names {len(new):,} new events; {MAX_EVENTS:,} are the limit. The "
            "options `after`, `orgs` and `tags` of the collector name fewer."
        )
    return SelectedEvents(new)


def _second_column(file: BinaryIO) -> set[str]:
    """The events in `hashes.csv` (MD5 of a value, event): few, even if it has a gigabyte."""
    with TextIOWrapper(file, encoding="utf-8", errors="replace", newline="") as text:
        uuids: set[str] = set()
        try:
            for row in csv.reader(text):
                if len(row) == 2 and _UUID.fullmatch(row[1]):
                    uuids.add(row[1])
        except csv.Error as problem:
            raise InvalidInput(
                f"hashes.csv is no list of hashes of a MISP feed: {problem}", where="hashes.csv"
            ) from None
    return uuids


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


def _tag_names(tags: Any) -> set[str]:
    if not isinstance(tags, list):
        return set()
    names = [tag.get("name") for tag in tags if isinstance(tag, dict)]
    return {name for name in names if isinstance(name, str)}

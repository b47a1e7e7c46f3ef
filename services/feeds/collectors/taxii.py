"""TAXII 2.0 and 2.1 collections, by taxii2-client over the guarded client.

Sources: TAXII 2.1 §3.4 (filtering by `added_after`), §3.5 (pagination), §5.4; TAXII 2.0 §3.4 (ranges).
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode

import msgspec
from taxii2client import v20, v21
from taxii2client.common import MEDIA_TYPE_TAXII_V20, MEDIA_TYPE_TAXII_V21
from xxhash import xxh3_64_hexdigest

from services.feeds.collectors.base import FeedSource, FetchedDocument
from services.feeds.collectors.http import url_with_credentials
from services.feeds.formats.base import read_options
from shared.errors import InvalidInput, UpstreamError
from shared.http import GuardedClient, Headers, Limits, UpstreamStatus
from shared.http.limits import MIB

_LIMITS: Final = Limits(total=180.0, max_bytes=128 * MIB, max_expanded=512 * MIB)
_MAX_PAGE: Final = 256 * MIB
_MICROSECOND: Final = timedelta(microseconds=1)
_MARGIN: Final = timedelta(minutes=1)
"""How far a server's clock is trusted that does not say when it added what it gives."""
_MOST_BOUNDARY: Final = 100_000
_STALLS: Final = 2
_FINAL_REFUSALS: Final = frozenset({401, 403, 429})


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a collection.

    Attributes:
        collection: id or title, where the address is that of an API root or of a server's discovery.
        version: of the protocol; found out when not given.
        page: objects asked for at once.
        added_after: RFC 3339; only what the server got later, for the first run.
        types: only objects of these STIX types.
    """

    collection: str | None = None
    version: Literal["2.0", "2.1"] | None = None
    page: int = 1000
    added_after: str | None = None
    types: list[str] = msgspec.field(default_factory=list)


class EndlessPagination(UpstreamError):
    """A server says there is more and gives the same again and again."""

    code = "upstream-endless"


@dataclass
class _Place:
    """How far a collection was read.

    Attributes:
        after: RFC 3339; objects that the server added later are asked for.
        next: the server's word for where the next page of this question begins.
        last: when the newest object so far was added; `after` of the question that follows is a moment before it.
        seen: digests of the objects of the pages that reach up to `last`: several may share that time, on either side
            of a page's end, and a server that was restarted has forgotten what `next` meant.
    """

    after: str | None = None
    next: str | None = None
    last: str | None = None
    seen: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, cursor: Mapping[str, Any], options: Options) -> "_Place":
        return cls(**cursor) if cursor else cls(after=options.added_after)

    def again(self) -> "_Place":
        """The same place, asked for without the server's memory."""
        if self.last is None:
            return _Place(after=self.after, seen=self.seen)
        before = datetime.fromisoformat(self.last) - _MICROSECOND
        return _Place(_text(before), None, self.last, self.seen)

    def moved(self, last: str | None, digests: list[str], next_: str | None) -> "_Place":
        """The place after a page."""
        same = last is None or last == self.last
        return _Place(
            self.after,
            next_,
            last or self.last,
            ([*self.seen, *digests] if same else digests)[-_MOST_BOUNDARY:],
        )

    @property
    def cursor(self) -> dict[str, Any]:
        return {"after": self.after, "next": self.next, "last": self.last, "seen": self.seen}


class TaxiiCollector:
    """Fetches what was added to a collection, page by page, each object once.

    `added_after` is about when the server got an object, never about when it was made. See `Options`.
    """

    name: ClassVar[str] = "taxii"
    whole: ClassVar[bool] = False

    async def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """See `Collector.collect`.

        Raises:
            EndlessPagination: the server's pages do not come to an end.
        """
        options = read_options(Options, source.options, "collector_options")
        connection = _Connection(source, client, asyncio.get_running_loop(), options.version)
        collection = await asyncio.to_thread(_collection, source, options, connection)
        place, number, stalls = _Place.of(source.cursor, options), 0, 0
        started = datetime.now(UTC)
        if place.next is None:
            place = place.again()
        while True:
            try:
                page = await asyncio.to_thread(_ask, collection, connection, place, options)
            except UpstreamStatus as refusal:
                if (
                    place.next is None
                    or refusal.retryable
                    or refusal.upstream_status in _FINAL_REFUSALS
                ):
                    raise
                place = place.again()  # the server does not know its own word any more
                continue
            known = set(place.seen)
            fresh = [(digest, one) for one in page.objects if (digest := _digest(one)) not in known]
            stalls = 0 if fresh else stalls + 1
            if page.more and stalls >= _STALLS:
                raise EndlessPagination(
                    "The server says there is more, and gives the same objects again.",
                    retryable=False,
                )
            last = page.last or (_text(started - _MARGIN) if not page.more else None)
            place = place.moved(
                last, [digest for digest, _ in fresh], page.next if page.more else None
            )
            if fresh:
                path = scratch / f"page-{number}"
                path.write_bytes(msgspec.json.encode({"objects": [one for _, one in fresh]}))
                yield FetchedDocument(
                    f"page {number + 1}", path, place.cursor, page.received, "stix"
                )
                number += 1
            if not page.more:
                return
            if place.next is None:
                place = place.again()


@dataclass(frozen=True)
class _Page:
    objects: list[dict[str, Any]]
    more: bool
    next: str | None
    last: str | None
    received: int


def _ask(collection: Any, connection: "_Connection", place: _Place, options: Options) -> _Page:
    filters: dict[str, Any] = {"added_after": place.after} if place.after else {}
    if options.types:
        filters["type"] = options.types
    if isinstance(collection, v20.Collection):
        start = int(place.next or 0)
        try:
            answer = collection.get_objects(start=start, per_request=options.page, **filters)
        except UpstreamStatus as refusal:
            if refusal.upstream_status != 416:
                raise
            answer = {}  # beyond the end
        end, total = _range(connection.headers.get("content-range", ""))
        objects = answer.get("objects") or []
        more = bool(objects) and total is not None and end + 1 < total
        following = str(end + 1)
    else:
        following_word = {"next": place.next} if place.next else {}
        answer = collection.get_objects(limit=options.page, **following_word, **filters)
        objects = answer.get("objects") or []
        more, following = bool(answer.get("more")), answer.get("next")
    if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
        raise InvalidInput("The server's answer holds no list of objects.", where="objects")
    last = _moment(connection.headers.get("x-taxii-date-added-last"))
    return _Page(objects, more, following, last, connection.received)


def _collection(source: FeedSource, options: Options, connection: "_Connection") -> Any:
    """The collection that is meant, in the version of the protocol that the server speaks."""
    library = {"2.0": v20, "2.1": v21}
    if options.collection is None:
        return library[connection.settled(source.url)].Collection(source.url, conn=connection)
    about = connection.get(source.url)
    version = connection.settled(source.url)
    roots = [source.url]
    if isinstance(about.get("api_roots"), list):
        roots = [about["default"]] if about.get("default") else about["api_roots"]
    for root in roots:
        for found in library[version].ApiRoot(root, conn=connection).collections:
            if options.collection in (found.id, found.title):
                return found
    raise InvalidInput(
        f"The server has no collection {options.collection!r}.",
        field="collector_options.collection",
    )


class _Connection:
    """What taxii2-client sends its requests through: the guarded client, from the thread that taxii2-client runs in.

    Attributes:
        version: of the protocol, once it is known.
        headers: of the last answer.
        received: bytes of the last answer.
    """

    def __init__(
        self,
        source: FeedSource,
        client: GuardedClient,
        loop: asyncio.AbstractEventLoop,
        version: str | None,
    ) -> None:
        self._source = source
        self._client = client
        self._loop = loop
        self.version = version
        self.headers: Headers = Headers([])
        self.received = 0

    def settled(self, url: str) -> str:
        """The version that the server speaks: the newer one, unless it refuses that."""
        if self.version is None:
            try:
                self._get(url, MEDIA_TYPE_TAXII_V21)
                self.version = "2.1"
            except UpstreamStatus as refusal:
                if refusal.upstream_status not in (404, 406, 415):
                    raise
                self._get(url, MEDIA_TYPE_TAXII_V20)
                self.version = "2.0"
        return self.version

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, Any] | None = None,
    ) -> Any:
        """A GET, as taxii2-client asks for it; gives the decoded answer."""
        kind = MEDIA_TYPE_TAXII_V20 if self.settled(url) == "2.0" else MEDIA_TYPE_TAXII_V21
        given = dict(headers or {})
        if params:
            url += ("&" if "?" in url else "?") + urlencode(params)
        return self._get(url, given.pop("Accept", kind), given)

    def close(self) -> None:
        """The guarded client is closed by whoever made it."""

    def _get(self, url: str, accept: str, headers: Mapping[str, str] | None = None) -> Any:
        request = self._client.request(
            "GET",
            url_with_credentials(url, self._source.credentials),
            headers={"Accept": accept, **(headers or {})},
            auth_headers=self._source.credentials.headers,
            limits=_LIMITS,
            max_body=_MAX_PAGE,
        )
        answer = asyncio.run_coroutine_threadsafe(request, self._loop).result()
        answer.raise_for_status()
        self.headers, self.received = answer.headers, len(answer.content)
        try:
            return msgspec.json.decode(answer.content)
        except (msgspec.DecodeError, RecursionError) as problem:
            raise InvalidInput(f"The server's answer is no JSON: {problem}", where="body") from None


def _digest(one: dict[str, Any]) -> str:
    """Which version of which object this is."""
    version = one.get("modified") or one.get("created") or one.get("date_added") or ""
    return xxh3_64_hexdigest(f"{one.get('id')}|{version}".encode())


def _range(text: str) -> tuple[int, int | None]:
    """Last index and total of a Content-Range such as `items 0-99/500`."""
    try:
        span, total = text.removeprefix("items").strip().split("/")
        return int(span.split("-")[1]), None if total == "*" else int(total)
    except (ValueError, IndexError):
        return -1, None


def _moment(text: str | None) -> str | None:
    """A server's time as RFC 3339; None when it is missing or in no form that can be read."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return _text(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

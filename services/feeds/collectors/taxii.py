"""TAXII 2.0 and 2.1 collections, by taxii2-client over the guarded client.

Sources: TAXII 2.1 §3.4 (filtering by `added_after`), §3.5 (pagination), §5.4;
TAXII 2.0 §3.4 (ranges).
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Self, TypeVar
from urllib.parse import urlencode, urljoin

import msgspec
from taxii2client import v20, v21
from taxii2client.common import MEDIA_TYPE_TAXII_V20, MEDIA_TYPE_TAXII_V21
from taxii2client.exceptions import TAXIIServiceException
from xxhash import xxh3_64_hexdigest

from services.feeds.collectors.base import Credentials, FeedSource, FetchedDocument
from services.feeds.collectors.http import url_with_credentials
from services.feeds.formats.base import read_options
from shared.errors import InvalidInput, UpstreamError
from shared.http import GuardedClient, Headers, Limits, UpstreamStatus
from shared.http.guard import origin_of
from shared.http.limits import MIB

Result = TypeVar("Result")

_LIMITS: Final = Limits(total=180.0, max_bytes=128 * MIB, max_expanded=512 * MIB)
_MAX_PAGE_BYTES: Final = 256 * MIB
_MICROSECOND: Final = timedelta(microseconds=1)
_CLOCK_MARGIN: Final = timedelta(minutes=1)
"""Difference allowed to the clock of a server that does not state when it added its objects."""
_MAX_BOUNDARY_OBJECTS: Final = 100_000
_MAX_STALLS: Final = 2
_FINAL_STATUSES: Final = frozenset({401, 403, 429})


class TaxiiOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a collection.

    Attributes:
        collection: id or title, if the address is that of an API root or of a server's discovery.
        version: of the protocol; negotiated if not set.
        page: objects per request.
        added_after: RFC 3339; the first run fetches only objects that the server got later.
        types: only objects of these STIX types.
    """

    collection: str | None = None
    version: Literal["2.0", "2.1"] | None = None
    page: int = 1000
    added_after: str | None = None
    types: list[str] = msgspec.field(default_factory=list)


class EndlessPagination(UpstreamError):
    """A server announces more pages and repeats the same objects."""

    code = "upstream-endless"


@dataclass
class _Position:
    """The position in a collection up to which it was read.

    Attributes:
        after: RFC 3339; the server is asked for objects that it added later.
        next: the server's token for the next page of this query.
        last: when the newest object so far was added. The query that follows begins just before it.
        seen: digests of the objects in the pages that reach up to `last`. Several objects may share
            that time on either side of a page's end, and a restarted server does not accept `next`.
    """

    after: str | None = None
    next: str | None = None
    last: str | None = None
    seen: list[str] = field(default_factory=list)

    @classmethod
    def from_cursor(cls, cursor: Mapping[str, Any], options: TaxiiOptions) -> Self:
        """The position at the start of a run, which needs a query of its own."""
        if not cursor:
            return cls(after=options.added_after)
        position = cls(**cursor)
        return position if position.next else position.requeried()

    def requeried(self) -> Self:
        """The same position for a new query, which does not need the server's token."""
        if self.last is None:
            return type(self)(after=self.after, seen=self.seen)
        just_before = datetime.fromisoformat(self.last) - _MICROSECOND
        return type(self)(_rfc3339(just_before), None, self.last, self.seen)

    def moved(self, last: str | None, digests: list[str], next_token: str | None) -> Self:
        """The position after a page.

        Args:
            last: when the page's newest object was added, if the server states it.
            digests: of the page's new objects.
            next_token: the server's token for the page that follows.
        """
        is_same_time = last is None or last == self.last
        seen = [*self.seen, *digests] if is_same_time else digests
        return type(self)(self.after, next_token, last or self.last, seen[-_MAX_BOUNDARY_OBJECTS:])

    @property
    def cursor(self) -> dict[str, Any]:
        return {"after": self.after, "next": self.next, "last": self.last, "seen": self.seen}


@dataclass(frozen=True)
class _Page:
    """A page of a collection, as `_request_page` reads it.

    Attributes:
        objects: STIX objects.
        more: whether the server announces another page.
        next: the server's token for it.
        last: when the newest object of the page was added, if the server states it.
        received: bytes on the wire.
    """

    objects: list[dict[str, Any]]
    more: bool
    next: str | None
    last: str | None
    received: int


class TaxiiCollector:
    """Fetches what was added to a collection, page by page and each object once.

    `added_after` is the time when the server got an object, not when it was created. See
    `TaxiiOptions`.
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
        options = read_options(TaxiiOptions, source.options, "collector_options")
        connection = _Connection(source, client, asyncio.get_running_loop(), options.version)
        collection = await _in_thread(_find_collection, source, options, connection)
        position = _Position.from_cursor(source.cursor, options)
        started = datetime.now(UTC)
        number = 0
        stalls = 0
        while True:
            try:
                page = await _in_thread(_request_page, collection, connection, position, options)
            except UpstreamStatus as refusal:
                if not _is_token_refused(position, refusal):
                    raise
                position = position.requeried()
                continue
            digests, objects = _fresh_objects(page, position)
            stalls = 0 if objects else stalls + 1
            if page.more and stalls >= _MAX_STALLS:
                raise EndlessPagination(
                    "The server says there is more, and gives the same objects again.",
                    retryable=False,
                )
            position = _position_after(position, page, digests, started)
            # Not every server leaves out other types than those that it was asked for.
            selected = [
                stix_object
                for stix_object in objects
                if not options.types or stix_object.get("type") in options.types
            ]
            if selected:
                path = scratch / f"page-{number}"
                path.write_bytes(msgspec.json.encode({"objects": selected}))
                number += 1
                yield FetchedDocument(
                    f"page {number}", path, position.cursor, page.received, "stix"
                )
            if not page.more:
                return
            if position.next is None:
                position = position.requeried()


async def _in_thread(function: Callable[..., Result], *arguments: Any) -> Result:
    """The result of a function that uses taxii2-client, which blocks.

    Raises:
        InvalidInput: an answer is not what TAXII prescribes. The library's text names addresses.
    """
    try:
        return await asyncio.to_thread(function, *arguments)
    except TAXIIServiceException:
        raise InvalidInput(
            "The server's answer is not what TAXII prescribes.", where="body"
        ) from None


def _is_token_refused(position: _Position, refusal: UpstreamStatus) -> bool:
    """Whether the server may have refused its own token, as after a restart."""
    return (
        position.next is not None
        and not refusal.retryable
        and refusal.upstream_status not in _FINAL_STATUSES
    )


def _fresh_objects(page: _Page, position: _Position) -> tuple[list[str], list[dict[str, Any]]]:
    """The objects of a page that were not fetched before: their digests, and themselves."""
    seen = set(position.seen)
    digests: list[str] = []
    objects: list[dict[str, Any]] = []
    for stix_object in page.objects:
        digest = _digest(stix_object)
        if digest not in seen:
            digests.append(digest)
            objects.append(stix_object)
    return digests, objects


def _position_after(
    position: _Position, page: _Page, digests: list[str], started: datetime
) -> _Position:
    """The position after a page; at the end of a server that states no times, the run's start."""
    last = page.last
    if last is None and not page.more:
        last = _rfc3339(started - _CLOCK_MARGIN)
    return position.moved(last, digests, page.next if page.more else None)


def _request_page(
    collection: Any, connection: "_Connection", position: _Position, options: TaxiiOptions
) -> _Page:
    filters: dict[str, Any] = {"added_after": position.after} if position.after else {}
    if options.types:
        filters["type"] = options.types
    if isinstance(collection, v20.Collection):
        return _request_range(collection, connection, position, options, filters)
    if position.next:
        filters["next"] = position.next
    envelope = collection.get_objects(limit=options.page, **filters)
    return _page(envelope, connection, _next_token(envelope), more=bool(envelope.get("more")))


def _request_range(
    collection: Any,
    connection: "_Connection",
    position: _Position,
    options: TaxiiOptions,
    filters: dict[str, Any],
) -> _Page:
    """A page of TAXII 2.0, where the token is the index of the next object."""
    start = int(position.next or 0)
    per_request = options.page
    try:
        bundle = collection.get_objects(start=start, per_request=per_request, **filters)
    except UpstreamStatus as refusal:
        if refusal.upstream_status != 416:
            raise
        bundle = {}  # the range begins behind the last object
    end, total = _content_range(connection.headers.get("content-range", ""))
    is_full = len(bundle.get("objects") or ()) >= per_request
    # A total of `*` is unknown: a full page is followed by another request.
    more = bool(bundle.get("objects")) and (end + 1 < total if total is not None else is_full)
    return _page(bundle, connection, str(end + 1), more=more)


def _next_token(envelope: dict[str, Any]) -> str | None:
    """The token of the next page; some servers write a number, which is sent back as it stands."""
    token = envelope.get("next")
    return str(token) if isinstance(token, str | int) and not isinstance(token, bool) else None


def _page(
    body: dict[str, Any], connection: "_Connection", next_token: str | None, *, more: bool
) -> _Page:
    objects = body.get("objects") or []
    if not isinstance(objects, list) or not all(isinstance(entry, dict) for entry in objects):
        raise InvalidInput("The server's answer holds no list of objects.", where="objects")
    last = _timestamp(connection.headers.get("x-taxii-date-added-last"))
    return _Page(objects, more, next_token, last, connection.received)


def _find_collection(source: FeedSource, options: TaxiiOptions, connection: "_Connection") -> Any:
    """The feed's collection, in the version of the protocol that the server speaks."""
    libraries = {"2.0": v20, "2.1": v21}
    if options.collection is None:
        library = libraries[connection.negotiated_version(source.url)]
        return library.Collection(source.url, conn=connection)
    discovery = connection.get(source.url)
    library = libraries[connection.negotiated_version(source.url)]
    for root in _api_roots(source.url, discovery):
        for collection in library.ApiRoot(root, conn=connection).collections:
            if options.collection in (collection.id, collection.title):
                return collection
    raise InvalidInput(
        f"The server has no collection {options.collection!r}.",
        field="collector_options.collection",
    )


def _api_roots(url: str, discovery: dict[str, Any]) -> list[str]:
    """The default API root of a server, or all; without a discovery the address is the root."""
    if not isinstance(discovery.get("api_roots"), list):
        return [url]
    default: str | None = discovery.get("default")
    roots: list[Any] = [default] if default else discovery["api_roots"]
    # TAXII 2.1 §4.1 allows roots that are relative to the server.
    return [urljoin(url, root) for root in roots if isinstance(root, str)]


class _Connection:
    """Sends the requests of taxii2-client, which runs in a thread, through the guarded client.

    Attributes:
        version: of the protocol, once it is negotiated.
        headers: of the last response.
        received: bytes of the last response.
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

    def negotiated_version(self, url: str) -> str:
        """The newer version of the protocol, unless the server refuses it."""
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
        """The decoded response to a GET; taxii2-client calls it."""
        is_old = self.negotiated_version(url) == "2.0"
        media_type = MEDIA_TYPE_TAXII_V20 if is_old else MEDIA_TYPE_TAXII_V21
        other_headers = dict(headers or {})
        accept = other_headers.pop("Accept", media_type)
        if params:
            # taxii2-client gives some values as tuples of one text.
            url += ("&" if "?" in url else "?") + urlencode(params, doseq=True)
        return self._get(url, accept, other_headers)

    def close(self) -> None:
        """Do nothing: the owner of the guarded client closes it."""

    def _get(self, url: str, accept: str, headers: Mapping[str, str] | None = None) -> Any:
        # A discovery may name roots of any host: the credentials stay with the feed's own origin.
        is_own = origin_of(url) == origin_of(self._source.url)
        credentials = self._source.credentials if is_own else Credentials()
        request = self._client.request(
            "GET",
            url_with_credentials(url, credentials),
            headers={"Accept": accept, **(headers or {})},
            auth_headers=credentials.headers,
            limits=_LIMITS,
            max_body=_MAX_PAGE_BYTES,
        )
        response = asyncio.run_coroutine_threadsafe(request, self._loop).result()
        response.raise_for_status()
        self.headers = response.headers
        self.received = len(response.content)
        try:
            return msgspec.json.decode(response.content)
        except (msgspec.DecodeError, RecursionError) as problem:
            raise InvalidInput(f"The server's answer is no JSON: {problem}", where="body") from None


def _digest(stix_object: dict[str, Any]) -> str:
    """A digest of an object's id and version."""
    version = (
        stix_object.get("modified")
        or stix_object.get("created")
        or stix_object.get("date_added")
        or ""
    )
    return xxh3_64_hexdigest(f"{stix_object.get('id')}|{version}".encode())


def _content_range(text: str) -> tuple[int, int | None]:
    """Last index and total of a Content-Range such as `items 0-99/500`."""
    try:
        span, total = text.removeprefix("items").strip().split("/")
        return int(span.split("-")[1]), None if total == "*" else int(total)
    except (ValueError, IndexError):
        return -1, None


def _timestamp(text: str | None) -> str | None:
    """A server's time as RFC 3339; None if it is missing or in an unknown form."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return _rfc3339(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

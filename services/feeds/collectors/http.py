"""One document at an address, such as a list, a bundle or a report."""

import json
import re
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode

import msgspec

from services.feeds.collectors.base import Credentials, FeedSource, FetchedDocument
from services.feeds.formats.base import read_options
from shared.errors import InvalidInput
from shared.http import GuardedClient

_DATE: Final = re.compile(r"\{date:([%A-Za-z0-9/_.-]{1,40})\}")


class HttpOptions(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a fetch.

    Attributes:
        method: GET, or POST for services that expect a query.
        body: the query, sent as JSON.
        headers: such as Accept. Secret headers belong to the credentials.
        days_back: age in days of the date in addresses with `{date:%Y-%m-%d}` (UTC).
    """

    method: Literal["GET", "POST"] = "GET"
    body: Any = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    days_back: int = 0


class HttpCollector:
    """Fetches one document. If it is unchanged, the server answers without a body.

    The server's ETag and Last-Modified are the cursor (RFC 9110 §13). See `HttpOptions`.
    """

    name: ClassVar[str] = "http"
    whole: ClassVar[bool] = True

    async def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """See `Collector.collect`."""
        options = read_options(HttpOptions, source.options, "collector_options")
        url = dated_url(source.url, options.days_back)
        path = scratch / "document"
        headers = dict(options.headers)
        content = None
        if options.method == "POST":
            content = json.dumps(options.body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif url == source.cursor.get("url", url):
            headers |= _conditions(source.cursor)
        download = await client.download(
            url_with_credentials(url, source.credentials),
            path,
            headers,
            method=options.method,
            content=content,
            auth_headers=source.credentials.headers,
        )
        if download.status == 304:
            return
        cursor = {
            "etag": download.headers.get("etag"),
            "last_modified": download.headers.get("last-modified"),
            "url": url if url != source.url else None,
        }
        cursor = {name: value for name, value in cursor.items() if value}
        yield FetchedDocument("the document", path, cursor, download.bytes_received)


def _conditions(cursor: Mapping[str, Any]) -> dict[str, str]:
    """The headers of a conditional request; none without a cursor."""
    names = {"If-None-Match": "etag", "If-Modified-Since": "last_modified"}
    return {header: cursor[name] for header, name in names.items() if cursor.get(name)}


def dated_url(url: str, days_back: int = 0) -> str:
    """An address with its date filled in.

    Raises:
        InvalidInput: the date's pattern cannot be filled in.
    """
    day = datetime.now(UTC) - timedelta(days=days_back)
    try:
        return _DATE.sub(lambda match: day.strftime(match[1]), url)
    except ValueError:
        raise InvalidInput("The date in the address is no strftime pattern.", field="url") from None


def url_with_credentials(url: str, credentials: Credentials) -> str:
    """An address with its secret parameters: for a request, never for a message."""
    if not credentials.query:
        return url
    base, mark, fragment = url.partition("#")
    separator = "&" if "?" in base else "?"
    return f"{base}{separator}{urlencode(credentials.query)}{mark}{fragment}"

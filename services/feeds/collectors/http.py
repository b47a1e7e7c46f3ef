"""One document at an address: a list, a bundle, a report."""

import json
import re
from collections.abc import AsyncGenerator
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


class Options(msgspec.Struct, forbid_unknown_fields=True):
    """Options of a fetch.

    Attributes:
        method: GET, or POST for services that want a question.
        body: the question, sent as JSON.
        headers: plain ones, such as Accept; what is secret belongs to the credentials.
        days_back: for addresses with `{date:%Y-%m-%d}`: how many days ago is meant (UTC).
    """

    method: Literal["GET", "POST"] = "GET"
    body: Any = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    days_back: int = 0


class HttpCollector:
    """Fetches one document; an unchanged one costs a request and nothing else.

    The server's ETag and Last-Modified are the cursor (RFC 9110 §13). See `Options`.
    """

    name: ClassVar[str] = "http"
    whole: ClassVar[bool] = True

    async def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """See `Collector.collect`."""
        options = read_options(Options, source.options, "collector_options")
        url, path = dated(source.url, options.days_back), scratch / "document"
        same = url == source.cursor.get("url", url)
        conditions = {"If-None-Match": "etag", "If-Modified-Since": "last_modified"}
        headers = dict(options.headers)
        content = None
        if options.method == "POST":
            content = json.dumps(options.body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif same:
            headers |= {
                name: source.cursor[key]
                for name, key in conditions.items()
                if source.cursor.get(key)
            }
        answer = await client.download(
            url_with_credentials(url, source.credentials),
            path,
            headers,
            method=options.method,
            content=content,
            auth_headers=source.credentials.headers,
        )
        if answer.status == 304:
            return
        cursor = {
            "etag": answer.headers.get("etag"),
            "last_modified": answer.headers.get("last-modified"),
            "url": url if url != source.url else None,
        }
        kept = {name: value for name, value in cursor.items() if value}
        yield FetchedDocument("the document", path, kept, answer.bytes_received)


def dated(url: str, days_back: int = 0) -> str:
    """An address with its date filled in.

    Raises:
        InvalidInput: the date's pattern cannot be filled in.
    """
    day = datetime.now(UTC) - timedelta(days=days_back)
    try:
        return _DATE.sub(lambda found: day.strftime(found[1]), url)
    except ValueError:
        raise InvalidInput("The date in the address is no strftime pattern.", field="url") from None


def url_with_credentials(url: str, credentials: Credentials) -> str:
    """An address with its secret parameters: to be asked, and never to be shown."""
    if not credentials.query:
        return url
    before, mark, fragment = url.partition("#")
    return f"{before}{'&' if '?' in before else '?'}{urlencode(credentials.query)}{mark}{fragment}"

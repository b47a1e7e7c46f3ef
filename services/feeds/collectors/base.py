"""The protocol that every collector implements.

A collector is a stateless class with `name`, `whole` and `collect`: it fetches the documents of a
feed and gives each as a `FetchedDocument` with the cursor from which the next run goes on. To write
one, copy `http.py` (one document) or `taxii.py` (pages), and name the class in `registry.py` or in
an entry point of the group `sentineliq.collectors`.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from shared.http import GuardedClient


@dataclass(frozen=True)
class Credentials:
    """What authorises a request; none of it appears in messages or logs.

    Attributes:
        headers: sent to the source's own origin only.
        query: parameters added to the source's address.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class FeedSource:
    """A feed as its collector sees it.

    Attributes:
        url: the feed's address.
        options: the collector's options, such as a TAXII collection.
        cursor: that of the last document that was processed; empty in the first run.
    """

    url: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    cursor: Mapping[str, Any] = field(default_factory=dict)
    credentials: Credentials = Credentials()


@dataclass(frozen=True)
class FetchedDocument:
    """A document of a feed: all of it, a page, or an event.

    Attributes:
        name: for messages, such as "page 3"; it holds no secret.
        path: the file with the document's bytes; the receiver removes it.
        cursor: JSON to store once this document and all before it are processed.
        received: bytes on the wire.
        format: its format if the protocol states it; otherwise the feed's format applies.
    """

    name: str
    path: Path
    cursor: Mapping[str, Any]
    received: int
    format: str | None = None


class Collector(Protocol):
    """Fetches the documents of a feed. Stateless: one instance serves all feeds, also in parallel.

    Attributes:
        name: its name in catalogs, in the API and on the command line.
        whole: whether a run's document is the complete feed (a list) or only its news (the pages of
            a collection). From a complete one, observables that are missing are gone.
    """

    name: ClassVar[str]
    whole: ClassVar[bool]

    def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """The documents since the source's cursor, oldest first; none if there is nothing new.

        The next document is requested only when the one before it is processed and its cursor
        stored. A run that was killed begins again at the last stored cursor.

        Args:
            source: the feed.
            client: the only way to send requests.
            scratch: a folder for the documents' files.

        Raises:
            UpstreamError: the source failed or refused.
            InvalidInput: an option of the collector is wrong; `field` names it.
        """
        ...

"""What every collector speaks: a source that is asked, and the parts that come back."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from shared.http import GuardedClient


@dataclass(frozen=True)
class Credentials:
    """What a request is authorised by; none of it appears in a message or a log.

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
        options: what the collector wants to know, such as a TAXII collection.
        cursor: what was remembered after the last part; empty the first time.
    """

    url: str = field(repr=False)
    options: Mapping[str, Any] = field(default_factory=dict)
    cursor: Mapping[str, Any] = field(default_factory=dict)
    credentials: Credentials = Credentials()


@dataclass(frozen=True)
class FetchedDocument:
    """One document of a feed, fetched: all of it, or a page, or an event.

    Attributes:
        name: for people and messages, such as "page 3"; without anything secret.
        path: the document's bytes; whoever takes the part removes the file.
        cursor: what to remember once this part and all before it were sent on. JSON.
        received: bytes on the wire.
        format: the format it is in, when the protocol says so; otherwise the feed's.
    """

    name: str
    path: Path
    cursor: Mapping[str, Any]
    received: int
    format: str | None = None


class Collector(Protocol):
    """Fetches the documents of a feed. Stateless: one instance serves any number of feeds, also at once.

    Attributes:
        name: what catalogues and the command line call it.
        whole: whether a run's part is all that the feed has to say (a list), or only its news (a collection's pages).
    """

    name: ClassVar[str]
    whole: ClassVar[bool]

    def collect(
        self, source: FeedSource, client: GuardedClient, scratch: Path
    ) -> AsyncGenerator[FetchedDocument, None]:
        """The parts that are new since the source's cursor, oldest first; none when there is nothing new.

        A part is asked for only when the one before it has been sent on and its cursor stored; a run that was killed
        begins again at the last stored cursor.

        Args:
            source: what to ask.
            client: the way out.
            scratch: a folder for the parts' files.

        Raises:
            UpstreamError: the source failed or refused.
            InvalidInput: the collector's options are wrong; the `field` names which.
        """
        ...

"""Clients of TAXII, each with its own way to remember how far it has read.

They are written after what the real ones send; taxii2-client is the real one.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx2
from taxii2client.v21 import Collection, as_pages

TAXII = "application/taxii+json;version=2.1"
Ids = Iterator[list[str]]


class CollectionAccess(NamedTuple):
    """How a client reaches the objects of a collection.

    Attributes:
        url: of the objects, with a slash at its end.
        user: of basic authentication.
        password: a token, for SentinelIQ.
    """

    url: str
    user: str
    password: str

    def get(self, accept: str = TAXII, **query: Any) -> httpx2.Response:
        """A page of objects."""
        answer = httpx2.get(
            self.url,
            params=query,
            headers={"accept": accept},
            auth=(self.user, self.password),
            trust_env=False,
            timeout=120,
        )
        answer.raise_for_status()
        return answer


def ids_of(page: dict[str, Any]) -> list[str]:
    """The ids of a page's objects."""
    return [entry["id"] for entry in page.get("objects", [])]


def read_with_taxii2_client(access: CollectionAccess) -> Ids:
    """taxii2-client: basic authentication, `next` with the filters of the first request."""
    url = access.url.removesuffix("objects/")
    collection = Collection(url, user=access.user, password=access.password)
    for page in as_pages(collection.get_objects, per_request=500, type=["indicator"]):
        yield ids_of(page)


def read_like_opencti(access: CollectionAccess) -> Ids:
    """OpenCTI: `next` while there is more, then the last date, from which microseconds are cut."""
    query: dict[str, Any] = {}
    while True:
        answer = access.get(accept="application/taxii+json;version=2.1", **query)
        page = answer.json()
        yield ids_of(page)
        last = answer.headers["x-taxii-date-added-last"]
        moment = datetime.fromisoformat(last).isoformat(timespec="milliseconds")
        cut = moment.replace("+00:00", "Z")
        if page.get("more"):
            query = {"next": page["next"], "added_after": cut}
        elif not page.get("objects"):
            return
        else:
            query = {"added_after": cut}


def read_like_elastic(access: CollectionAccess) -> Ids:
    """Elastic: filters in the first request alone, JSON accepted, a list needed."""
    query: dict[str, Any] = {"limit": 1_000, "match[type]": "indicator"}
    last = ""
    while True:
        answer = access.get(accept="application/json", **query)
        page = answer.json()
        yield ids_of(page)
        last = answer.headers["x-taxii-date-added-last"]
        if page["more"]:
            query = {"next": page["next"]}
        elif not page["objects"]:
            return
        else:
            query = {"limit": 1_000, "match[type]": "indicator", "added_after": last}


def read_like_minemeld(access: CollectionAccess) -> Ids:
    """MineMeld: no `next`, the last date of the page is where the following one begins."""
    after = "1970-01-01T00:00:00.000000Z"
    while True:
        answer = access.get(added_after=after, limit=500)
        page = answer.json()
        yield ids_of(page)
        after = answer.headers["x-taxii-date-added-last"]
        if not page.get("objects"):
            return


def read_inclusively(access: CollectionAccess) -> Ids:
    """A client that takes `added_after` for inclusive: it goes on a millisecond behind the last."""
    after = "1970-01-01T00:00:00.000Z"
    while True:
        answer = access.get(added_after=after, limit=200)
        page = answer.json()
        yield ids_of(page)
        last = datetime.fromisoformat(answer.headers["x-taxii-date-added-last"])
        moment = (last + timedelta(milliseconds=1)).isoformat(timespec="milliseconds")
        after = moment.replace("+00:00", "Z")
        if not page.get("objects"):
            return


CLIENTS: list[Callable[[CollectionAccess], Ids]] = [
    read_with_taxii2_client,
    read_like_opencti,
    read_like_elastic,
    read_like_minemeld,
    read_inclusively,
]

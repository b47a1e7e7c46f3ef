"""Five clients, each with its own way to remember where it was: none loses an object, none loops.

They read while writers add: between two pages, and many objects in one transaction. The clients are
written after what the real ones send; taxii2-client is the real one.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import httpx2
import pytest
from taxii2client.v21 import Collection, as_pages

from shared.database import Database
from tests.observables.taxii.conftest import TAXII, TaxiiClient, append, indicator

BEFORE = 2_000
AT_ONCE = 1_000
WRITERS = 4
PER_WRITER = 5
"""Objects that each writer adds after each page, up to `MOST_WRITES` pages."""
MOST_WRITES = 25
Ids = Iterator[list[str]]


class Access(NamedTuple):
    """How a client reaches a collection."""

    url: str
    token: str

    def get(self, accept: str = TAXII, **query: Any) -> httpx2.Response:
        """A page of objects."""
        headers = {"accept": accept, "authorization": f"Bearer {self.token}"}
        answer = httpx2.get(self.url, params=query, headers=headers, trust_env=False)
        assert answer.status_code == 200, answer.text
        return answer


def ids_of(page: dict[str, Any]) -> list[str]:
    return [entry["id"] for entry in page.get("objects", [])]


def read_with_taxii2_client(access: Access) -> Ids:
    """taxii2-client: basic authentication, `next` with the filters of the first request."""
    url = access.url.removesuffix("objects/")
    collection = Collection(url, user="any", password=access.token)
    for page in as_pages(collection.get_objects, per_request=500, type=["indicator"]):
        yield ids_of(page)


def read_like_opencti(access: Access) -> Ids:
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


def read_like_elastic(access: Access) -> Ids:
    """Elastic: filters in the first request alone, JSON accepted, a list needed."""
    query: dict[str, Any] = {"limit": 1_000, "match[type]": "indicator"}
    last = ""
    while True:
        answer = access.get(accept="application/json", **query)
        page = answer.json()
        yield [entry["id"] for entry in page["objects"]]
        last = answer.headers["x-taxii-date-added-last"]
        if page["more"]:
            query = {"next": page["next"]}
        elif not page["objects"]:
            return
        else:
            query = {"limit": 1_000, "match[type]": "indicator", "added_after": last}


def read_like_minemeld(access: Access) -> Ids:
    """MineMeld: no `next`, the last date of the page is where the following one begins."""
    after = "1970-01-01T00:00:00.000000Z"
    while True:
        answer = access.get(added_after=after, limit=500)
        page = answer.json()
        yield ids_of(page)
        after = answer.headers["x-taxii-date-added-last"]
        if not page.get("objects"):
            return


def read_inclusively(access: Access) -> Ids:
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


CLIENTS: list[Callable[[Access], Ids]] = [
    read_with_taxii2_client,
    read_like_opencti,
    read_like_elastic,
    read_like_minemeld,
    read_inclusively,
]


@pytest.mark.parametrize("read", CLIENTS, ids=lambda client: client.__name__)
def test_a_client_loses_nothing_and_sees_little_twice(
    read: Callable[[Access], Ids],
    taxii: TaxiiClient,
    server: str,
    own: Database,
    make_token: Callable[..., str],
) -> None:
    collection = taxii.create(has_empty_list=True)
    append(own, collection, range(BEFORE))
    append(own, collection, range(BEFORE, BEFORE + AT_ONCE))
    url = f"{server}/taxii2/acme/collections/{collection}/objects/"
    access = Access(url, make_token("acme", "viewer"))
    added = BEFORE + AT_ONCE
    seen: Counter[str] = Counter()
    with ThreadPoolExecutor(WRITERS) as writers:
        for number, ids in enumerate(read(access)):
            assert number < 200, "the client does not come to an end"
            seen.update(ids)
            if number < MOST_WRITES:
                starts = range(added, added + WRITERS * PER_WRITER, PER_WRITER)
                added += WRITERS * PER_WRITER
                batches = [range(start, start + PER_WRITER) for start in starts]
                list(writers.map(lambda batch: append(own, collection, batch), batches))
    # taxii2-client reads what there was and stops; the others poll until nothing is new.
    missing = {indicator(number)["id"] for number in range(added)} - seen.keys()
    if read is read_with_taxii2_client:
        rest = as_pages(
            Collection(
                access.url.removesuffix("objects/"), user="any", password=access.token
            ).get_objects,
            per_request=1_000,
        )
        again = {identity for page in rest for identity in ids_of(page)}
        assert missing <= again
        assert len(missing) <= WRITERS * PER_WRITER
    else:
        assert missing == set()
    twice = sum(1 for count in seen.values() if count > 1)
    assert twice <= added // 100

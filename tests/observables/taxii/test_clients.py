"""Five clients, each with its own way to remember where it was: none loses an object, none loops.

They read while writers add: between two pages, and many objects in one transaction. The clients are
written after what the real ones send; taxii2-client is the real one.
"""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from taxii2client.v21 import Collection, as_pages

from bench._taxii_clients import CLIENTS, CollectionAccess, Ids, ids_of, read_with_taxii2_client
from shared.database import Database
from tests.observables.taxii.conftest import TaxiiClient, append, indicator

BEFORE = 2_000
AT_ONCE = 1_000
WRITERS = 4
PER_WRITER = 5
"""Objects that each writer adds after each page, up to `MOST_WRITES` pages."""
MOST_WRITES = 25


@pytest.mark.parametrize("read", CLIENTS, ids=lambda client: client.__name__)
def test_a_client_loses_nothing_and_sees_little_twice(
    read: Callable[[CollectionAccess], Ids],
    taxii: TaxiiClient,
    server: str,
    own: Database,
    make_token: Callable[..., str],
) -> None:
    collection = taxii.create(has_empty_list=True)
    append(own, collection, range(BEFORE))
    append(own, collection, range(BEFORE, BEFORE + AT_ONCE))
    url = f"{server}/taxii2/acme/collections/{collection}/objects/"
    access = CollectionAccess(url, "any", make_token("acme", "viewer"))
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
                access.url.removesuffix("objects/"), user="any", password=access.password
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

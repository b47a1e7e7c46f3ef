"""What TAXII 2.1 demands of a server, by the number of its section."""

import base64
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from shared.database import Database
from shared.tokens import token_id
from tests.observables.taxii.conftest import TAXII, TaxiiClient, append, error_of, indicator

ClientFor = Callable[..., TestClient]
OTHER_VERSION = "2026-11-30T09:00:00.000Z"


# §1.6: media types and content negotiation


@pytest.mark.parametrize(
    "accept",
    [
        TAXII,
        "application/taxii+json",
        "application/taxii+json; version=2.1",
        'application/taxii+json;version="2.1"',
        "*/*",
        "application/*",
        "application/json",
        "text/html, application/taxii+json;version=2.1;q=0.5",
        "application/taxii+json;version=2.0, application/taxii+json;version=2.1",
    ],
)
def test_1_6_8_1_the_client_gets_taxii(taxii: TaxiiClient, accept: str) -> None:
    answer = taxii.http.get("/taxii2/", headers={"accept": accept})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TAXII


@pytest.mark.parametrize(
    "accept",
    [
        "application/taxii+json;version=2.0",
        "application/vnd.oasis.taxii+json; version=2.0",
        "text/html",
        "application/taxii+json;version=2.1;q=0",
        "application/stix+json;version=2.1",
    ],
)
def test_1_6_8_1_other_media_types_are_not_acceptable(taxii: TaxiiClient, accept: str) -> None:
    error_of(taxii.http.get("/taxii2/", headers={"accept": accept}), 406)


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/taxii+json;version=2.0", "text/plain", ""],
)
def test_1_6_8_1_other_content_is_unsupported(
    taxii: TaxiiClient, collection: str, content_type: str
) -> None:
    answer = taxii.post(collection, {"objects": [indicator(1)]}, **{"content-type": content_type})
    error_of(answer, 415)


# §1.6.9 and §3.6: authentication, authorization, errors


def test_1_6_9_a_token_comes_as_a_bearer_a_password_or_a_key(
    taxii: TaxiiClient, client_for: ClientFor, make_token: Callable[..., str]
) -> None:
    stranger = client_for("observables", role=None)
    token = make_token("acme", "viewer")
    basic = base64.b64encode(f"any user:{token}".encode()).decode()
    for headers in (
        {"authorization": f"Bearer {token}"},
        {"authorization": f"Basic {basic}"},
        {"authorization": f"Token {token}"},
        {"x-api-key": token},
    ):
        assert stranger.get("/taxii2/acme/", headers=headers).status_code == 200, headers
        # Our own routes take a bearer alone: a browser sends a password by itself.
        expected = 200 if "Bearer" in headers.get("authorization", "") else 401
        assert stranger.get("/v1/collections", headers=headers).status_code == expected


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Basic"},
        {"authorization": "Basic !!!"},
        {"authorization": "Basic OnRva2Vu"},
        {"authorization": "Bearer a.b.c"},
        {"x-api-key": "x" * 5_000},
    ],
)
def test_1_6_9_and_3_6_nobody_reads_without_a_token(
    own: Database, client_for: ClientFor, headers: dict[str, str]
) -> None:
    answer = client_for("observables", role=None).get("/taxii2/", headers=headers)
    error_of(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_1_6_9_a_revoked_token_reads_nothing(
    taxii: TaxiiClient, collection: str, client_for: ClientFor
) -> None:
    reader = client_for("observables", role="viewer")
    path = f"/taxii2/acme/collections/{collection}/objects/"
    assert reader.get(path).status_code == 200
    token = reader.headers["authorization"].removeprefix("Bearer ")
    assert taxii.http.post(f"/v1/tokens/{token_id(token)}/revoke").status_code == 204
    # Each process learns of it within some seconds.
    end = time.monotonic() + 20
    while reader.get(path).status_code == 200 and time.monotonic() < end:
        time.sleep(0.1)
    error_of(reader.get(path), 401)


def test_3_6_errors_of_the_framework_are_taxiis(taxii: TaxiiClient) -> None:
    error_of(taxii.http.get("/taxii2/acme/nowhere/"), 404)
    error_of(taxii.http.put("/taxii2/acme/"), 405)


# §3.1: endpoints


def test_3_1_every_endpoint_answers_with_and_without_a_slash_and_never_redirects(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(1))
    object_id = indicator(0)["id"]
    base = f"/taxii2/acme/collections/{collection}"
    for path in (
        "/taxii2",
        "/taxii2/acme",
        "/taxii2/acme/collections",
        base,
        f"{base}/manifest",
        f"{base}/objects",
        f"{base}/objects/{object_id}",
        f"{base}/objects/{object_id}/versions",
    ):
        bare = taxii.http.get(path, follow_redirects=False)
        slashed = taxii.http.get(f"{path}/", follow_redirects=False)
        assert (bare.status_code, slashed.status_code) == (200, 200), path
        assert bare.content == slashed.content


# §3.2: both headers on every page


def test_3_2_both_dates_come_with_every_page_also_an_empty_one(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    def dates(**query: str) -> tuple[str, str]:
        answer = taxii.get(f"collections/{collection}/objects/", **query)
        first = answer.headers["x-taxii-date-added-first"]
        return first, answer.headers["x-taxii-date-added-last"]

    before = dates()
    assert before[0] == before[1]
    append(own, collection, range(3))
    first, last = dates()
    assert first == last > before[1]
    assert len(first) == len("2026-11-30T08:00:00.000000Z")
    assert first.endswith("000Z")
    assert dates(added_after=last) == (last, last)
    assert dates(added_after="2999-01-01T00:00:00Z") == (last, last)
    assert dates(**{"match[type]": "malware"}) == (last, last)
    manifest = taxii.get(f"collections/{collection}/manifest/")
    assert manifest.headers["x-taxii-date-added-last"] == last


# §3.3 to §3.5: order, filters, pages


def test_3_3_objects_come_in_the_order_of_their_addition(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    for number in (5, 3, 9, 1):
        append(own, collection, range(number, number + 1))
    ids = [entry["id"] for entry in taxii.objects(collection)["objects"]]
    assert ids == [indicator(number)["id"] for number in (5, 3, 9, 1)]
    manifest = taxii.get(f"collections/{collection}/manifest/").json()["objects"]
    assert [entry["id"] for entry in manifest] == ids
    dates = [entry["date_added"] for entry in manifest]
    assert dates == sorted(dates)


def test_3_4_added_after_excludes_its_moment(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(150))
    dates = [
        entry["date_added"]
        for entry in taxii.get(f"collections/{collection}/manifest/").json()["objects"]
    ]
    assert dates.count(dates[0]) == 100
    later = taxii.objects(collection, added_after=dates[0])["objects"]
    assert [entry["id"] for entry in later] == [indicator(n)["id"] for n in range(100, 150)]
    assert "objects" not in taxii.objects(collection, added_after=dates[-1])


def test_3_4_1_filters_match_id_type_version_and_version_of_stix(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(3))
    append(own, collection, range(1), modified=OTHER_VERSION)
    malware = {"type": "malware", "id": f"malware--{uuid4()}", "spec_version": "2.0"}
    append(own, collection, range(7, 8), **malware)
    first = indicator(0)["id"]

    def ids(**query: str) -> list[tuple[str, str]]:
        objects = taxii.objects(collection, **query).get("objects", [])
        return [(entry["id"], entry["modified"]) for entry in objects]

    original = (first, indicator(0)["modified"])
    changed = (first, OTHER_VERSION)
    assert ids(**{"match[id]": first}) == [changed]
    assert ids(**{"match[id]": first, "match[version]": "all"}) == [original, changed]
    assert ids(**{"match[id]": first, "match[version]": "first"}) == [original]
    assert ids(**{"match[id]": first, "match[version]": "first,last"}) == [original, changed]
    assert ids(**{"match[version]": OTHER_VERSION}) == [changed]
    assert ids(**{"match[version]": "2026-11-30T09:00:00Z"}) == [changed]
    assert ids(**{"match[version]": "2020-01-01T00:00:00Z"}) == []
    assert [pair[0] for pair in ids(**{"match[type]": "malware,tool"})] == [malware["id"]]
    assert [pair[0] for pair in ids(**{"match[spec_version]": "2.0"})] == [malware["id"]]
    assert len(ids()) == 4
    assert len(ids(**{"match[type]": "indicator", "match[spec_version]": "2.1"})) == 3


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "-5"},
        {"limit": "many"},
        {"added_after": "yesterday"},
        {"next": "forged"},
        {"match[type]": "In Dicator"},
        {"match[id]": "no-id"},
        {"match[version]": "newest"},
        {"match[colour]": "red"},
        {"added_after": ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]},
        {"match[type]": ["indicator", "malware"]},
    ],
)
@pytest.mark.parametrize("resource", ["objects", "manifest"])
def test_3_4_what_is_wrong_is_an_error_and_never_an_empty_list(
    taxii: TaxiiClient, collection: str, resource: str, query: dict[str, Any]
) -> None:
    body = error_of(taxii.get(f"collections/{collection}/{resource}/", **query), 400)
    assert body["details"]["field"] == next(iter(query))


def test_3_4_a_time_without_a_fraction_is_valid(taxii: TaxiiClient, collection: str) -> None:
    assert taxii.objects(collection, added_after="2026-11-30T08:00:00Z") == {}


@pytest.mark.parametrize("limit", [1, 7, 100, 130, 1_000])
def test_3_5_pages_lead_through_everything_once(
    taxii: TaxiiClient, collection: str, own: Database, limit: int
) -> None:
    append(own, collection, range(330))
    for resource in ("objects", "manifest"):
        ids: list[str] = []
        query: dict[str, Any] = {"limit": limit, "match[type]": "indicator"}
        while True:
            answer = taxii.get(f"collections/{collection}/{resource}/", **query)
            page = answer.json()
            assert 0 < len(page["objects"]) <= limit
            ids += [entry["id"] for entry in page["objects"]]
            if not page["more"]:
                assert "next" not in page
                break
            # The token holds the filters: some clients send it alone.
            query = {"next": page["next"]} | ({"limit": limit} if len(ids) % 2 else {})
        assert ids == [indicator(number)["id"] for number in range(330)]


def test_3_5_pages_of_a_hundred_and_more_end_between_two_moments(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(60))
    append(own, collection, range(60, 400))
    dates = {
        entry["id"]: entry["date_added"]
        for entry in taxii.get(f"collections/{collection}/manifest/").json()["objects"]
    }
    after = "2000-01-01T00:00:00Z"
    ids: list[str] = []
    while True:
        answer = taxii.get(f"collections/{collection}/objects/", limit=100, added_after=after)
        page = answer.json()
        ids += [entry["id"] for entry in page["objects"]]
        after = answer.headers["x-taxii-date-added-last"]
        assert after == dates[ids[-1]]
        if not page["more"]:
            break
    assert ids == list(dates)


# §4.1 and §4.2: what the server is


def test_4_1_the_server_names_its_roots(taxii: TaxiiClient) -> None:
    body = taxii.http.get("/taxii2/").json()
    assert body["title"]
    assert body["default"] in body["api_roots"]
    assert body["api_roots"] == ["/taxii2/acme/", "/taxii2/public/"]


def test_4_2_a_root_names_its_versions_and_its_limit(taxii: TaxiiClient) -> None:
    body = taxii.get().json()
    assert TAXII in body["versions"]
    assert body["max_content_length"] >= 1_000_000
    assert body["title"]


def test_4_2_the_root_of_another_tenant_does_not_exist(taxii: TaxiiClient) -> None:
    for path in ("", "collections/", f"collections/{uuid4()}/objects/", f"status/{uuid4()}/"):
        error_of(taxii.http.get(f"/taxii2/globex/{path}"), 404)

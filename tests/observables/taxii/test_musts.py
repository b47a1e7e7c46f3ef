"""What TAXII 2.1 demands of a server: each demand by its section, and the tests that show it.

The words are ours; https://docs.oasis-open.org/cti/taxii/v2.1/os/taxii-v2.1-os.html has the
standard's. Demands on clients, and on channels, which the standard only reserves, are not here.
"""

import importlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

import pytest
from starlette.testclient import TestClient

from services.observables.retention.policies import POLICIES
from services.observables.taxii.page_request import MAX_LIMIT
from shared.database import Database
from tests.observables.taxii.conftest import TAXII, TaxiiClient, append, error_of, indicator

ClientFor = Callable[..., TestClient]
MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PACKAGE: Final = "tests.observables.taxii"
STATIC_MARKING: Final = {
    "type": "marking-definition",
    "spec_version": "2.1",
    "id": "marking-definition--1d0e8a52-5b1c-4b0c-9c1e-5d1b6a4f9d11",
    "created": "2026-11-30T08:00:00.000Z",
    "definition_type": "statement",
    "definition": {"statement": "Ours."},
}
ADDRESS: Final = {
    "type": "ipv4-addr",
    "spec_version": "2.1",
    "id": "ipv4-addr--ff26c055-6336-5bc5-b98d-13d6226742dd",
    "value": "198.51.100.3",
}


class Must(NamedTuple):
    """A demand of the standard.

    Attributes:
        section: its number.
        demand: what a server has to do.
        tests: what shows it: a module of this package without `test_`, or the whole name of one
            elsewhere, and a test in it without `test_`.
    """

    section: str
    demand: str
    tests: tuple[str, ...]


MUSTS: Final = (
    Must(
        "1.6.6",
        "TLS towards clients",
        (
            "tests.gateway.routing.test_production.behind_a_trusted_proxy_only_tls_is_answered",
            "tests.gateway.routing.test_production.its_own_tls_carries_requests",
        ),
    ),
    Must("1.6.7", "JSON in UTF-8", ("musts.1_6_7_what_is_posted_comes_back_in_utf_8",)),
    Must(
        "1.6.8.1",
        "answers in TAXII's media type; 406 and 415 for others; no version is the newest",
        (
            "protocol.1_6_8_1_the_client_gets_taxii",
            "protocol.1_6_8_1_other_media_types_are_not_acceptable",
            "protocol.1_6_8_1_other_content_is_unsupported",
        ),
    ),
    Must(
        "1.6.9",
        "authentication, Basic among the ways; 401 with a challenge",
        (
            "protocol.1_6_9_a_token_comes_as_a_bearer_a_password_or_a_key",
            "protocol.1_6_9_and_3_6_nobody_reads_without_a_token",
        ),
    ),
    Must("2", "ids are UUIDs of version 4", ("musts.2_ids_are_uuids_of_version_4",)),
    Must("2", "times in UTC, six digits, Z", ("musts.2_times_have_six_digits_and_a_z",)),
    Must(
        "3.1",
        "endpoints end in a slash",
        ("protocol.3_1_every_endpoint_answers_with_and_without_a_slash_and_never_redirects",),
    ),
    Must(
        "3.2",
        "both date headers with objects, manifests and versions",
        (
            "protocol.3_2_both_dates_come_with_every_page_also_an_empty_one",
            "musts.3_2_dates_come_with_versions_and_single_objects",
        ),
    ),
    Must(
        "3.3",
        "objects, manifest and versions in the order of addition",
        (
            "protocol.3_3_objects_come_in_the_order_of_their_addition",
            "collections.5_6_and_5_8_an_object_and_its_versions",
        ),
    ),
    Must(
        "3.4", "added_after excludes its moment", ("protocol.3_4_added_after_excludes_its_moment",)
    ),
    Must(
        "3.4.1",
        "match by id, type, version, spec_version; commas are or, fields are and",
        ("protocol.3_4_1_filters_match_id_type_version_and_version_of_stix",),
    ),
    Must(
        "3.4.1",
        "the last version alone where none is asked for",
        ("collections.5_6_and_5_8_an_object_and_its_versions",),
    ),
    Must(
        "3.4.1",
        "without modified the version is created, without that the time of addition",
        ("musts.3_4_1_and_5_3_the_version_of_what_has_no_modified",),
    ),
    Must(
        "3.5",
        "more and next lead through everything; limit holds, up to the server's own",
        (
            "protocol.3_5_pages_lead_through_everything_once",
            "musts.3_5_there_is_a_next_only_if_there_is_more",
            "page_request.all_filters_are_read",
        ),
    ),
    Must(
        "3.6.1",
        "errors are error messages with a title, and texts alone",
        (
            "protocol.3_6_errors_of_the_framework_are_taxiis",
            "musts.3_6_1_an_error_has_the_properties_of_the_standard_alone",
        ),
    ),
    Must("3.7", "an envelope has more, next, objects", ("musts.3_7_an_envelope_has_nothing_else",)),
    Must("4.1", "a title; the default is a root", ("protocol.4_1_the_server_names_its_roots",)),
    Must(
        "4.2",
        "title, versions with 2.1, max_content_length above 0",
        ("protocol.4_2_a_root_names_its_versions_and_its_limit",),
    ),
    Must(
        "4.3",
        "a status counts every object; counts and lists agree; it says complete at the end",
        (
            "posts.4_3_a_status_counts_and_names_every_object",
            "musts.4_3_a_status_has_the_properties_of_the_standard",
        ),
    ),
    Must("4.3", "a status stays for a day", ("musts.4_3_a_status_stays_for_more_than_a_day",)),
    Must(
        "5.1",
        "collections that the client may see",
        (
            "collections.5_1_and_5_2_collections_say_what_the_client_may",
            "collections.5_collections_of_others_do_not_exist",
        ),
    ),
    Must(
        "5.2",
        "id, title, can_read, can_write; writing elsewhere is 403",
        (
            "collections.5_1_and_5_2_collections_say_what_the_client_may",
            "posts.5_5_who_may_not_write_writes_nothing",
        ),
    ),
    Must(
        "5.3",
        "records with id, date_added, version",
        (
            "musts.5_3_a_record_of_the_manifest_has_the_properties_of_the_standard",
            "musts.3_4_1_and_5_3_the_version_of_what_has_no_modified",
        ),
    ),
    Must(
        "5.4",
        "an empty envelope where nothing matches",
        ("collections.5_4_nothing_is_an_empty_object_or_an_empty_list_by_choice",),
    ),
    Must(
        "5.5",
        "202 and a status, the same as that of its own address; 413 and 422",
        (
            "posts.4_3_a_status_counts_and_names_every_object",
            "posts.5_5_what_is_there_already_succeeds_and_changes_nothing",
            "posts.5_5_what_is_no_envelope_is_refused_whole",
        ),
    ),
    Must("5.6", "404 for no such object", ("collections.5_6_and_5_8_an_object_and_its_versions",)),
    Must(
        "5.7",
        "all versions of an object go, or those named; 403 where clients may not write",
        (
            "collections.5_7_versions_are_deleted_where_clients_may_write",
            "musts.5_7_what_a_list_fills_is_not_deleted_from",
        ),
    ),
    Must(
        "5.8", "the versions of an object", ("collections.5_6_and_5_8_an_object_and_its_versions",)
    ),
)


@pytest.mark.parametrize("must", MUSTS, ids=lambda must: f"{must.section} {must.demand[:30]}")
def test_each_demand_has_a_test(must: Must) -> None:
    for name in must.tests:
        module_name, _, test = name.rpartition(".")
        is_elsewhere = module_name.startswith("tests.")
        module = importlib.import_module(
            module_name if is_elsewhere else f"{PACKAGE}.test_{module_name}"
        )
        assert callable(getattr(module, f"test_{test}")), name


def test_1_6_7_what_is_posted_comes_back_in_utf_8(taxii: TaxiiClient, collection: str) -> None:
    named = {**indicator(1), "name": "Käse 😀"}
    assert taxii.post(collection, {"objects": [named]}).status_code == 202
    answer = taxii.get(f"collections/{collection}/objects/")
    assert answer.headers["content-type"] == TAXII
    assert "Käse 😀" in answer.content.decode("utf-8")


def test_2_ids_are_uuids_of_version_4(taxii: TaxiiClient, collection: str) -> None:
    status = taxii.post(collection, {"objects": [indicator(1)]}).json()
    assert UUID(collection).version == 4
    assert UUID(status["id"]).version == 4


def test_2_times_have_six_digits_and_a_z(taxii: TaxiiClient, collection: str) -> None:
    status = taxii.post(collection, {"objects": [indicator(1)]}).json()
    manifest = taxii.get(f"collections/{collection}/manifest/")
    times = [
        status["request_timestamp"],
        manifest.json()["objects"][0]["date_added"],
        manifest.headers["x-taxii-date-added-first"],
        manifest.headers["x-taxii-date-added-last"],
    ]
    assert all(MOMENT.fullmatch(text) for text in times), times


def test_3_2_dates_come_with_versions_and_single_objects(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(1))
    added = taxii.get(f"collections/{collection}/manifest/").json()["objects"][0]["date_added"]
    for path in ("", "versions/"):
        answer = taxii.get(f"collections/{collection}/objects/{indicator(0)['id']}/{path}")
        assert answer.headers["x-taxii-date-added-first"] == added
        assert answer.headers["x-taxii-date-added-last"] == added


def test_3_4_1_and_5_3_the_version_of_what_has_no_modified(
    taxii: TaxiiClient, collection: str
) -> None:
    taxii.post(collection, {"objects": [STATIC_MARKING, ADDRESS]})
    records = taxii.get(f"collections/{collection}/manifest/").json()["objects"]
    versions = {record["id"]: record for record in records}
    assert versions[STATIC_MARKING["id"]]["version"] == STATIC_MARKING["created"]
    address = versions[ADDRESS["id"]]
    added = datetime.fromisoformat(address["date_added"])
    assert datetime.fromisoformat(address["version"]) == added
    envelope = taxii.objects(collection, **{"match[version]": str(STATIC_MARKING["created"])})
    assert envelope["objects"] == [STATIC_MARKING]


def test_3_5_there_is_a_next_only_if_there_is_more(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(3))
    for resource in ("objects", "manifest"):
        page = taxii.get(f"collections/{collection}/{resource}/", limit=2).json()
        assert (page["more"], len(page["objects"])) == (True, 2)
        last = taxii.get(f"collections/{collection}/{resource}/", next=page["next"]).json()
        assert last.keys() == {"more", "objects"}
        assert (last["more"], len(last["objects"])) == (False, 1)
    beyond = taxii.objects(collection, limit=MAX_LIMIT * 10)
    assert len(beyond["objects"]) == 3


def test_3_6_1_an_error_has_the_properties_of_the_standard_alone(
    taxii: TaxiiClient, collection: str
) -> None:
    allowed = {"title", "description", "error_id", "error_code", "http_status"}
    allowed |= {"external_details", "details"}
    errors: list[tuple[Any, int]] = [
        (taxii.get(f"collections/{uuid4()}/"), 404),
        (taxii.get(f"collections/{collection}/objects/", limit="0"), 400),
        (taxii.post(collection, b"[]"), 422),
        (taxii.post(collection, {"objects": []}, **{"content-type": "text/plain"}), 415),
        (taxii.http.get("/taxii2/", headers={"accept": "text/html"}), 406),
    ]
    for answer, status in errors:
        assert error_of(answer, status).keys() <= allowed


def test_3_7_an_envelope_has_nothing_else(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(2))
    page = taxii.objects(collection, limit=1)
    assert page.keys() == {"more", "next", "objects"}
    assert isinstance(page["more"], bool)
    assert isinstance(page["next"], str)


def test_4_3_a_status_has_the_properties_of_the_standard(
    taxii: TaxiiClient, collection: str
) -> None:
    status = taxii.post(collection, {"objects": [indicator(1), {"type": "indicator"}]}).json()
    counts = [status[f"{name}_count"] for name in ("success", "failure", "pending")]
    assert sum(counts) == status["total_count"] == 2
    assert status["status"] == "complete"
    for name, count in zip(("successes", "failures", "pendings"), counts, strict=True):
        details = status.get(name, [])
        assert len(details) == count
        assert all({"id", "version"} <= detail.keys() for detail in details)
    lists = {"successes", "failures", "pendings"}
    scalars = {"id", "status", "request_timestamp", "total_count"}
    scalars |= {"success_count", "failure_count", "pending_count"}
    assert scalars <= status.keys() <= scalars | lists


def test_4_3_a_status_stays_for_more_than_a_day() -> None:
    [policy] = [each for each in POLICIES if each.table == "collection_post"]
    assert policy.days is not None
    assert policy.days > policy.minimum >= 1


def test_5_3_a_record_of_the_manifest_has_the_properties_of_the_standard(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(1))
    [record] = taxii.get(f"collections/{collection}/manifest/").json()["objects"]
    assert record["id"] == indicator(0)["id"]
    assert record["version"] == indicator(0)["modified"]
    assert record["media_type"] == "application/stix+json;version=2.1"
    assert record.keys() == {"id", "date_added", "version", "media_type"}


def test_5_7_what_a_list_fills_is_not_deleted_from(
    taxii: TaxiiClient, own: Database, client_for: ClientFor
) -> None:
    body = {"name": "filled", "filter": "observable.score >= 20"}
    answer = client_for("observables").post("/v1/lists", json=body)
    assert answer.status_code == 201, answer.text
    filled = taxii.create("filled", is_writable=False, list_id=answer.json()["id"])
    append(own, filled, range(1))
    path = f"/taxii2/acme/collections/{filled}/objects/{indicator(0)['id']}/"
    error_of(taxii.http.delete(path), 403)
    assert len(taxii.objects(filled)["objects"]) == 1

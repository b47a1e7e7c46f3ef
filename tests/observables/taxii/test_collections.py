"""What TAXII 2.1 §5 demands of collections and their objects, and how they are configured."""

from collections.abc import Callable
from uuid import uuid4

from starlette.testclient import TestClient

from shared.database import Database
from tests.observables.taxii.conftest import TAXII, TaxiiClient, append, error_of, indicator

ClientFor = Callable[..., TestClient]
OTHER_VERSION = "2026-11-30T09:00:00.000Z"


# §5.1 and §5.2: collections


def test_5_1_and_5_2_collections_say_what_the_client_may(
    taxii: TaxiiClient, client_for: ClientFor
) -> None:
    assert taxii.get("collections/").json() == {}
    collection = taxii.create("shared", description="What we share.")
    described = {
        "id": collection,
        "title": "shared",
        "description": "What we share.",
        "can_read": True,
        "can_write": True,
        "media_types": ["application/stix+json;version=2.1"],
    }
    assert taxii.get("collections/").json() == {"collections": [described]}
    assert taxii.get(f"collections/{collection}/").json() == described
    viewer = TaxiiClient(client_for("observables", role="viewer"))
    assert viewer.get(f"collections/{collection}/").json() == {**described, "can_write": False}
    for unknown in (uuid4(), "shared", "%00", "x" * 300):
        error_of(taxii.get(f"collections/{unknown}/"), 404)


def test_5_collections_of_others_do_not_exist(
    taxii: TaxiiClient, collection: str, client_for: ClientFor, own: Database
) -> None:
    append(own, collection, range(2))
    stranger = TaxiiClient(client_for("observables", tenant="globex"), "globex")
    for root in ("globex", "acme", "public"):
        for path in ("", "objects/", "manifest/", f"objects/{indicator(0)['id']}/"):
            answer = stranger.http.get(f"/taxii2/{root}/collections/{collection}/{path}")
            error_of(answer, 404)
    assert stranger.get("collections/").json() == {}
    assert stranger.http.get("/v1/collections").json() == []
    posted = stranger.http.post(
        f"/taxii2/acme/collections/{collection}/objects/",
        content=b'{"objects":[]}',
        headers={"content-type": TAXII},
    )
    error_of(posted, 404)
    own_one = stranger.create()
    token = taxii.objects(collection, limit=1)["next"]
    error_of(stranger.get(f"collections/{own_one}/objects/", next=token), 400)


def test_5_what_is_public_is_read_by_all_and_written_by_operators(
    taxii: TaxiiClient, client_for: ClientFor
) -> None:
    operator = TaxiiClient(client_for("observables", tenant="public", role="operator"), "public")
    collection = operator.create("open", tlp="clear")
    assert operator.post(collection, {"objects": [indicator(1)]}).status_code == 202
    reader = TaxiiClient(taxii.http, "public")
    assert len(reader.objects(collection)["objects"]) == 1
    assert reader.get(f"collections/{collection}/").json()["can_write"] is False
    error_of(reader.post(collection, {"objects": [indicator(2)]}), 403)


# §5.4: what an empty page is


def test_5_4_nothing_is_an_empty_object_or_an_empty_list_by_choice(taxii: TaxiiClient) -> None:
    plain = taxii.create("plain")
    listed = taxii.create("listed", has_empty_list=True)
    assert taxii.objects(plain) == {}
    assert taxii.objects(listed) == {"more": False, "objects": []}
    changed = taxii.http.patch(f"/v1/collections/{plain}", json={"has_empty_list": True})
    assert changed.json()["has_empty_list"] is True
    assert taxii.objects(plain) == {"more": False, "objects": []}


# §5.6 to §5.8: one object


def test_5_6_and_5_8_an_object_and_its_versions(
    taxii: TaxiiClient, collection: str, own: Database
) -> None:
    append(own, collection, range(2))
    append(own, collection, range(1), modified=OTHER_VERSION)
    append(own, collection, range(1), modified="2026-11-30T08:30:00.000Z")
    path = f"collections/{collection}/objects/{indicator(0)['id']}"
    assert [entry["modified"] for entry in taxii.get(f"{path}/").json()["objects"]] == [
        OTHER_VERSION
    ]
    versions = taxii.get(f"{path}/versions/").json()
    assert versions == {
        "more": False,
        "versions": [
            "2026-11-30T08:00:00.000Z",
            OTHER_VERSION,
            "2026-11-30T08:30:00.000Z",
        ],
    }
    every = taxii.get(f"{path}/", **{"match[version]": "all"}).json()["objects"]
    assert [entry["modified"] for entry in every] == versions["versions"]
    page = taxii.get(f"{path}/versions/", limit=2).json()
    assert page["more"]
    rest = taxii.get(f"{path}/versions/", next=page["next"]).json()
    assert page["versions"] + rest["versions"] == versions["versions"]
    missing = f"collections/{collection}/objects/indicator--{uuid4()}"
    error_of(taxii.get(f"{missing}/"), 404)
    error_of(taxii.get(f"{missing}/versions/"), 404)
    error_of(taxii.get(f"collections/{collection}/objects/nothing/"), 404)
    assert taxii.get(f"{path}/", added_after="2999-01-01T00:00:00Z").json() == {}


def test_5_7_versions_are_deleted_where_clients_may_write(
    taxii: TaxiiClient, collection: str, own: Database, client_for: ClientFor
) -> None:
    append(own, collection, range(2))
    append(own, collection, range(1), modified=OTHER_VERSION)
    path = f"/taxii2/acme/collections/{collection}/objects/{indicator(0)['id']}/"
    error_of(client_for("observables", role="viewer").delete(path), 403)
    assert taxii.http.delete(path, params={"match[version]": "last"}).status_code == 200
    (entry,) = taxii.http.get(path).json()["objects"]
    assert entry["modified"] == indicator(0)["modified"]
    assert taxii.http.delete(path).status_code == 200
    error_of(taxii.http.get(path), 404)
    error_of(taxii.http.delete(path), 404)
    error_of(taxii.http.delete(path, params={"limit": "1"}), 400)
    assert len(taxii.objects(collection)["objects"]) == 1
    assert taxii.http.get(f"/v1/collections/{collection}").json()["object_count"] == 1


def test_configuration_refuses_what_makes_no_sense(taxii: TaxiiClient, collection: str) -> None:
    for body in (
        {"title": "neither"},
        {"title": "both", "is_writable": True, "list_id": str(uuid4())},
        {"title": "", "is_writable": True},
        {"title": "tlp", "is_writable": True, "tlp": "purple"},
        {"title": "more", "is_writable": True, "colour": "red"},
    ):
        assert taxii.http.post("/v1/collections", json=body).status_code == 422, body
    twice = taxii.http.post("/v1/collections", json={"title": "shared", "is_writable": True})
    assert twice.status_code == 409
    other = taxii.create("other")
    renamed = taxii.http.patch(f"/v1/collections/{other}", json={"title": "shared"})
    assert renamed.status_code == 409
    assert taxii.http.delete(f"/v1/collections/{other}").status_code == 204
    assert taxii.http.delete(f"/v1/collections/{other}").status_code == 404

"""Values looked up and searched over HTTP: what is stored about, around and below them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from starlette.testclient import TestClient

from shared.database import Database
from shared.events.feeds import Indicator
from shared.stix import detect
from tests.observables.conftest import OTHER, after, chunk, handle

STORED = [
    "evil.com",
    "login.evil.com",
    "http://login.evil.com/a",
    "http://198.51.100.7/x",
    "198.51.100.0/24",
    "198.51.0.0/16",
    "198.51.100.7",
    "198.51.101.1",
    "2001:db8::/32",
    "kim@evil.com",
    "notevil.com",
    "d41d8cd98f00b204e9800998ecf8427e",
]


def indicators(*values: str) -> list[Indicator]:
    return [Indicator(str(observable.type), observable.value) for observable in map(detect, values)]


@pytest.fixture
def client(own: Database, client_for: Callable[..., TestClient]) -> TestClient:
    handle(own, chunk(*indicators(*STORED)))
    return client_for("observables")


def look_up(client: TestClient, value: str) -> dict:
    answer = client.get("/v1/lookup", params={"value": value})
    assert answer.status_code == 200, answer.text
    answer: dict = answer.json()
    return answer


HASH = "e7d705a3286e19ea42f587b344ee6865"
SHAPELESS = [
    ("ja3", HASH),
    ("file-imphash", HASH[::-1]),
    ("x509-sha1", "3395856ce81f2b7382dee72602f798b642f14140"),
    ("file-name", "update.exe"),
    ("mutex", "Global\\\\{5312}"),
    ("user-agent", "Mozilla/5.0 (evil)"),
    ("file-path", "/opt/x"),
]


@pytest.mark.parametrize(("type_", "value"), SHAPELESS)
def test_what_has_no_shape_of_its_own_is_found_by_its_value(
    own: Database, client: TestClient, type_: str, value: str
) -> None:
    handle(own, chunk(Indicator(type_, value)))
    assert look_up(client, value)["observable"]["type"] == type_
    named = client.get("/v1/lookup", params={"value": value, "type": type_}).json()
    assert (named["observable"]["value"], named["problem"]) == (value, None)
    (listed,) = client.post("/v1/lookup", json={"values": [value], "type": type_}).json()["items"]
    assert listed["observable"] == named["observable"]
    (answer_item,) = client.post(
        "/v1/sightings", json={"sightings": [{"value": value, "type": type_}]}
    ).json()["items"]
    assert answer_item["observable"]["id"] == named["observable"]["id"]


def test_all_that_a_value_is_known_as_is_told(own: Database, client: TestClient) -> None:
    handle(own, chunk(Indicator("ja3", HASH), Indicator("file-md5", HASH)))
    answer = look_up(client, HASH)
    assert (answer["observable"]["type"], [other["type"] for other in answer["others"]]) == (
        "file-md5",
        ["ja3"],
    )
    assert look_up(client, "nothing.exe")["problem"].startswith("not a public suffix")
    refused = client.get("/v1/lookup", params={"value": "evil.com", "type": "ipv4-addr"}).json()
    assert refused["problem"]


def test_of_a_value_nobody_has_spoken_of_it_is_told_what_lies_here(client: TestClient) -> None:
    answer = look_up(client, "www.example.co.uk")
    assert answer["observable"] is None
    assert answer["context"]["domain_name"]["registrable"] == "example.co.uk"
    assert look_up(client, "10.0.0.1")["context"]["special_range"]
    assert "context" not in look_up(client, "update.exe")
    query = {"values": ["10.0.0.1", "evil.com"]}
    assert all(
        "context" not in item for item in client.post("/v1/lookup", json=query).json()["items"]
    )
    known_item, unknown = client.post("/v1/lookup", json={**query, "describe": True}).json()[
        "items"
    ][::-1]
    assert (known_item["observable"] is not None, "context" in known_item) == (True, False)
    assert unknown["context"]["special_range"]
    assert (
        "context"
        not in client.get("/v1/lookup", params={"value": "example.com", "as_of": YESTERDAY}).json()
    )


@pytest.mark.parametrize(
    ("value", "within"),
    [
        ("198.51.100.7", ["198.51.100.0/24", "198.51.0.0/16"]),
        ("198.51.100.0/25", ["198.51.100.0/24", "198.51.0.0/16"]),
        ("2001:db8::1", ["2001:db8::/32"]),
        ("a.login.evil.com", ["login.evil.com", "evil.com"]),
        ("hxxps://www[.]evil[.]com/unknown", ["evil.com"]),
        ("http://198.51.100.7/y", ["198.51.100.7", "198.51.100.0/24", "198.51.0.0/16"]),
        ("someone@login.evil.com", ["login.evil.com", "evil.com"]),
        ("203.0.113.1", []),
        ("evil.com", []),
    ],
)
def test_a_value_is_told_with_the_networks_and_domains_around_it(
    client: TestClient, value: str, within: list[str]
) -> None:
    answer = look_up(client, value)
    assert [each["value"] for each in answer.get("within", [])] == within
    (same,) = client.post("/v1/lookup", json={"values": [value]}).json()["items"]
    assert same.get("within", []) == answer.get("within", [])


@pytest.mark.parametrize(
    "query",
    [
        "evil.com",
        "evil%5B.%5Dcom",
        "a+b",
        "%ff%00",
        "",
        "a=b",
        "evil.com;as_of=1",
        "198.51.100.0%2F24",
        "x" * 1_990,
    ],
)
def test_the_plain_question_is_answered_as_the_route_answers(
    client: TestClient, query: str
) -> None:
    """With an ampersand at the end the framework reads the query, not the fast path."""
    quick = client.get(f"/v1/lookup?value={query}")
    route = client.get(f"/v1/lookup?value={query}&")
    assert (quick.status_code, quick.headers["content-type"]) == (
        route.status_code,
        route.headers["content-type"],
    )
    assert quick.json() == route.json()


@pytest.mark.parametrize("token", [None, "Bearer nonsense", "Basic a2ltOmtpbQ=="])
def test_the_quick_path_answers_nobody_whom_the_route_would_not(
    client_for: Callable[..., TestClient], token: str | None
) -> None:
    stranger = client_for("observables", role=None)
    headers = {"Authorization": token} if token else {}
    answers = [
        stranger.get(f"/v1/lookup?value=evil.com{end}", headers=headers) for end in ("", "&")
    ]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].json() == answers[1].json()


def test_one_source_says_the_same_of_many_and_each_is_told_for_itself(
    own: Database, client: TestClient
) -> None:
    many = [f"host{number}.example.com" for number in range(1_200)]
    handle(own, chunk(*indicators(*many)))
    handle(own, chunk(*indicators(*many[::3]), feed=OTHER))
    values_asked = ["evil.com", *many[::-1], "unknown.example.com"]
    items = client.post("/v1/lookup", json={"values": values_asked}).json()["items"]
    assert [item["value"] for item in items] == values_asked
    assert items[-1]["observable"] is None
    for item in items[:-1]:
        alone = (
            look_up(client, item["value"])["observable"]
            if item["value"] in {"evil.com", many[0], many[1]}
            else None
        )
        sources = 2 if item["value"] in many[::3] else 1
        assert (
            len({assertion["source"] for assertion in item["observable"]["assertions"]}) == sources
        )
        assert alone is None or alone == item["observable"]


def test_a_network_is_told_with_what_is_inside_it(client: TestClient) -> None:
    answer = look_up(client, "198.51.100.0/24")
    assert sorted(each["value"] for each in answer["inside"]) == [
        "198.51.100.7",
        "http://198.51.100.7/x",
    ]
    assert answer["observable"]["score"] == 72
    assert answer["observable"]["verdict"] == "suspicious"


def test_many_values_of_any_type_are_answered_in_their_order(client: TestClient) -> None:
    values = [
        "evil[.]com",
        "not an observable",
        "D41D8CD98F00B204E9800998ECF8427E",
        "203.0.113.9",
        "evil.com",
    ]
    items = client.post("/v1/lookup", json={"values": values}).json()["items"]
    assert [item["value"] for item in items] == values
    assert [item["observable"] and item["observable"]["value"] for item in items] == [
        "evil.com",
        None,
        "d41d8cd98f00b204e9800998ecf8427e",
        None,
        "evil.com",
    ]
    assert [bool(item["problem"]) for item in items] == [False, True, False, False, False]


def search(client: TestClient, **conditions: object) -> list[str]:
    values: list[str] = []
    after = None
    while True:
        answer = client.get(
            "/v1/observables",
            params={"limit": 2, **conditions, **({"after": after} if after else {})},
        )
        assert answer.status_code == 200, answer.text
        page = answer.json()
        values += [item["value"] for item in page["items"]]
        after = page["next"]
        if after is None:
            assert client.get("/v1/observables/count", params=conditions).json() == {
                "count": len(values)
            }
            return values


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (
            {"under": "evil.com"},
            ["evil.com", "login.evil.com", "http://login.evil.com/a", "kim@evil.com"],
        ),
        (
            {"under": "198.51.100.0/24"},
            ["198.51.100.0/24", "198.51.100.7", "http://198.51.100.7/x"],
        ),
        ({"under": "evil.com", "type": "domain-name"}, ["evil.com", "login.evil.com"]),
        ({"under": "d41d8"}, ["d41d8cd98f00b204e9800998ecf8427e"]),
        ({"prefix": "not"}, ["notevil.com"]),
        ({"prefix": "http://198.51"}, ["http://198.51.100.7/x"]),
        ({"prefix": "198.51.10"}, ["198.51.100.0/24", "198.51.100.7", "198.51.101.1"]),
        ({"prefix": "198.51.100.0/"}, ["198.51.100.0/24"]),
        ({"prefix": "2001:d"}, ["2001:db8::/32"]),
        ({"prefix": "d41d"}, ["d41d8cd98f00b204e9800998ecf8427e"]),
        ({"prefix": "k", "type": "email-addr"}, ["kim@evil.com"]),
        ({"tag": "c2", "type": "email-addr"}, ["kim@evil.com"]),
        ({"tag": "phishing"}, []),
        ({"min_score": 73}, []),
    ],
)
def test_a_search_finds_exactly_what_lies_below_page_by_page(
    client: TestClient, conditions: dict, expected: list
) -> None:
    answer = search(client, **conditions)
    assert sorted(answer) == sorted(expected)
    assert len(set(answer)) == len(answer)


def test_a_search_tells_own_and_public_rows_once(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(*indicators("evil.com", "a.evil.com")))
    public = chunk(*indicators("evil.com", "b.evil.com"), feed=OTHER, tenant="public")
    handle(own, public, tenant="public")
    assert search(client_for("observables"), under="evil.com") == [
        "evil.com",
        "a.evil.com",
        "b.evil.com",
    ]
    assert search(client_for("observables", "globex"), under="evil.com") == [
        "evil.com",
        "b.evil.com",
    ]


def test_the_past_answers_as_it_answered_then(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    client = client_for("observables")
    before = datetime.now(UTC)
    handle(own, chunk(*indicators("evil.com")))
    first = datetime.now(UTC)
    handle(own, chunk(*indicators("evil.com"), feed=OTHER))
    second = datetime.now(UTC)
    handle(own, chunk(gone=indicators("evil.com"), at=after(30)))

    def then(moment: datetime | None) -> tuple[int, int] | None:
        query = {"value": "evil.com"} | ({"as_of": moment.isoformat()} if moment else {})
        view = client.get("/v1/lookup", params=query).json()["observable"]
        return view and (
            view["score"],
            len([a for a in view["assertions"] if a["retracted_at"] is None]),
        )

    assert then(before) is None
    assert then(first) == (72, 1)
    assert then(second) == (85, 2)
    assert then(None) == (45, 1)
    identity = client.get("/v1/lookup", params={"value": "evil.com"}).json()["observable"]["id"]
    then_explained = client.get(
        f"/v1/observables/{identity}/explain", params={"as_of": second.isoformat()}
    ).json()
    assert (then_explained["score"], len(then_explained["contributions"])) == (85, 2)
    assert (
        client.get(f"/v1/observables/{identity}", params={"as_of": before.isoformat()}).status_code
        == 404
    )

    def many_then(moment: datetime | None) -> list[dict]:
        values = ["evil[.]com", "login.evil.com", "never.example", "no value"]
        query = {"values": values} | ({"as_of": moment.isoformat()} if moment else {})
        items: list[dict] = client.post("/v1/lookup", json=query).json()["items"]
        assert [item["value"] for item in items] == values
        assert items[3]["problem"]
        return items

    for moment in (before, first, second, None):
        named, below, *_ = many_then(moment)
        assert named["observable"] == (one_then(client, moment)["observable"])
        assert [each["value"] for each in below.get("within", [])] == (
            ["evil.com"] if named["observable"] else []
        )
    long_ago = client.post(
        "/v1/lookup", json={"values": ["evil.com"], "as_of": "0001-01-01T00:00:00+14:00"}
    )
    assert (long_ago.status_code, long_ago.json()["field"]) == (422, "as_of"), (
        "UTC has no such moment"
    )
    naive = client.post("/v1/lookup", json={"values": ["evil.com"], "as_of": "2026-01-01T00:00:00"})
    assert naive.status_code in {200, 422}
    tomorrow = client.post("/v1/lookup", json={"values": ["evil.com"], "as_of": TOMORROW})
    assert (tomorrow.status_code, tomorrow.json()["field"]) == (422, "as_of")


def one_then(client: TestClient, moment: datetime | None) -> dict:
    query = {"value": "evil.com"} | ({"as_of": moment.isoformat()} if moment else {})
    answer: dict = client.get("/v1/lookup", params=query).json()
    return answer


TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()
YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@pytest.mark.parametrize(("days", "status"), [(399, 200), (401, 422)])
def test_the_past_ends_where_its_history_is_deleted(
    client: TestClient, days: int, status: int
) -> None:
    moment = datetime.now(UTC) - timedelta(days=days)
    response = client.get("/v1/lookup", params={"value": "x.com", "as_of": moment.isoformat()})
    assert response.status_code == status
    if status == 422:
        assert response.json()["field"] == "as_of"


@pytest.mark.parametrize(
    ("path", "conditions", "field"),
    [
        ("/v1/lookup", {"value": "x" * 50_000}, "value"),
        ("/v1/lookup", {"value": "evil.com", "as_of": "2026-02-30T00:00:00Z"}, "as_of"),
        ("/v1/lookup", {"value": "evil.com", "as_of": TOMORROW}, "as_of"),
        ("/v1/observables", {"type": ".*"}, "type"),
        ("/v1/observables", {"type": "carrier-pigeon"}, "type"),
        ("/v1/observables", {"min_score": "101"}, "min_score"),
        ("/v1/observables", {"source": "not-a-uuid"}, "source"),
        ("/v1/observables", {"after": "%%%"}, "after"),
        ("/v1/observables", {"under": "evil.com", "after": "AAAA"}, "after"),
        ("/v1/observables", {"tag": "a\0b"}, "tag"),
        ("/v1/observables", {"under": "a\0b"}, "under"),
        ("/v1/observables/ipv4-addr--1", {}, "id"),
    ],
)
def test_a_bad_question_gets_a_clear_answer(
    client: TestClient, path: str, conditions: dict, field: str
) -> None:
    answer = client.get(path, params=conditions)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert len(answer.content) < 2_000


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"values": ["\xff\xfe"]}', 422),
        (b'{"values": ["evil.com"', 422),
        (b"x" * (50 * 1024 * 1024), 413),
        (b'{"values": ["' + b"a" * 1_000_000 + b'"]}', 422),
    ],
)
def test_a_bad_body_gets_a_clear_answer_and_harms_nobody(
    client: TestClient, body: bytes, status: int
) -> None:
    answer = client.post("/v1/lookup", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2_000
    assert look_up(client, "evil.com")["observable"]["score"] == 72

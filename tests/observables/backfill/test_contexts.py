"""Reference data is fetched from a real server and kept when that fails; the past is described."""

import gzip
import http.server
import io
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from services.observables.backfill.contexts import redescribe
from services.observables.reference import kev_catalog, networks, warning_lists
from services.observables.reference.datasets import Dataset
from services.observables.reference.service import refresh_datasets
from shared.database import PUBLIC, Database
from shared.events.feeds import Indicator
from shared.settings import Settings
from tests.observables.conftest import changes, chunk, handle


class _Provider(http.server.BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}

    def do_GET(self) -> None:
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def provider() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Provider)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    _Provider.files = {
        "/lists.zip": lists("198.51.100.0/24"),
        "/v4.tsv.gz": TABLE,
        "/kev.json": EXPLOITED,
    }
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def lists(*entries: str) -> bytes:
    document = {
        "name": "our own servers",
        "version": 1,
        "type": "cidr",
        "matching_attributes": ["ip-dst"],
        "list": entries,
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main/lists/scanners/list.json", json.dumps(document))
        archive.writestr("main/README.md", "not a list")
    return packed.getvalue()


TABLE = gzip.compress(
    b"198.51.100.0\t198.51.100.255\t64500\tNL\tEXAMPLE\n"
    b"203.0.113.0\t203.0.113.255\t64501\tDE\tOTHER\n"
)
EXPLOITED = json.dumps(
    {
        "title": "x",
        "catalogVersion": "2026.11.20",
        "dateReleased": "2026-11-20T00:00:00Z",
        "count": 1,
        "vulnerabilities": [
            {
                "cveID": "CVE-2021-44228",
                "vendorProject": "Apache",
                "product": "Log4j2",
                "vulnerabilityName": "Log4Shell",
                "dateAdded": "2021-12-10",
                "shortDescription": "x",
                "requiredAction": "x",
                "dueDate": "2021-12-24",
                "knownRansomwareCampaignUse": "Known",
            }
        ],
    }
).encode()


def datasets(provider: str) -> list[Dataset]:
    return [
        Dataset(
            "warninglists",
            "lists",
            "x",
            (f"{provider}/lists.zip",),
            warning_lists.pack,
            warning_lists.bundled,
        ),
        Dataset("networks", "tables", "x", (f"{provider}/v4.tsv.gz",), networks.pack),
        Dataset("exploited", "kev", "x", (f"{provider}/kev.json",), kev_catalog.pack),
    ]


def refresh(own: Database, settings: Settings, sets: list[Dataset], minutes: int = 0) -> dict:
    outcomes = refresh_datasets(own, settings, sets)
    return {
        "datasets": outcomes,
        "described": redescribe(own, settle_time=timedelta(minutes=minutes)),
    }


@pytest.fixture
def empty(own: Database) -> Iterator[Database]:
    yield own
    with own.engine.begin() as connection:
        connection.execute(sa.text("TRUNCATE observables.dataset"))
    redescribe(own)  # reloads the empty data into this process


def age(own: Database) -> None:
    with own.transaction(PUBLIC) as session:
        session.execute(
            sa.text("UPDATE dataset SET checked_at = :at"),
            {"at": datetime.now(UTC) - timedelta(days=2)},
        )


ADDRESS = Indicator("ipv4-addr", "198.51.100.7")
CVE = Indicator("vulnerability", "CVE-2021-44228")


def context(client: TestClient, value: str) -> dict:
    return client.get("/v1/lookup", params={"value": value}).json()["observable"]["context"]


def test_older_observables_are_described_with_newer_data(
    empty: Database, settings: Settings, provider: str, client_for: Callable[..., TestClient]
) -> None:
    handle(empty, chunk(ADDRESS, CVE))
    assert changes(empty) == [
        ("198.51.100.7", "new", 72, None),
        ("CVE-2021-44228", "new", 40, None),
    ]
    result = refresh(empty, settings, datasets(provider))
    assert result["datasets"]["networks"] == f"{provider}/v4.tsv.gz"
    assert result["described"] == 2
    assert changes(empty) == [
        ("198.51.100.7", "expired", 4, 72),
        ("CVE-2021-44228", "changed", 95, 40),
    ]
    client = client_for("observables")
    facts = context(client, "198.51.100.7")
    assert facts["network"] == {"asn": 64500, "as_name": "EXAMPLE", "country": "NL"}
    assert facts["allow_lists"]["hits"] == [
        ["our own servers", "false_positive", "cidr", "198.51.100.0/24", "harmless"]
    ]
    assert context(client, "CVE-2021-44228")["known_exploited"]["since"] == "2021-12-10"
    assert refresh(empty, settings, datasets(provider)) == {
        "datasets": dict.fromkeys(("warninglists", "networks", "exploited"), "fresh"),
        "described": 0,
    }


def test_newer_observables_are_described_at_once_and_explained(
    empty: Database, settings: Settings, provider: str, client_for: Callable[..., TestClient]
) -> None:
    refresh(empty, settings, datasets(provider))
    handle(empty, chunk(ADDRESS))
    client = client_for("observables")
    identity = client.get("/v1/lookup", params={"value": "198.51.100.7"}).json()["observable"]["id"]
    parts = client.get(f"/v1/observables/{identity}/explain").json()["contributions"]
    (against,) = [part for part in parts if part["kind"] == "allow-list"]
    assert against["points"] < 0
    assert "198.51.100.0/24" in against["reason"]
    assert "our own servers" in against["reason"]


def test_a_list_that_no_longer_names_it_gives_the_score_back_and_the_past_stays(
    empty: Database, settings: Settings, provider: str, client_for: Callable[..., TestClient]
) -> None:
    refresh(empty, settings, datasets(provider))
    handle(empty, chunk(ADDRESS))
    before = changes(empty)[0][2]
    then = datetime.now(UTC)
    _Provider.files["/lists.zip"] = lists("192.0.2.0/24")
    age(empty)
    assert refresh(empty, settings, datasets(provider))["described"] == 1
    assert changes(empty) == [("198.51.100.7", "changed", 72, before)]
    query = {"value": "198.51.100.7", "as_of": then.isoformat()}
    past = client_for("observables").get("/v1/lookup", params=query).json()
    assert past["observable"]["score"] == before


def dates_in_answers(client: TestClient) -> list[dict[str, datetime]]:
    """The dates in each kind of answer: a lookup, lookups together, a single observable."""
    lookup = client.get("/v1/lookup", params={"value": "198.51.100.7"}).json()
    many = client.post("/v1/lookup", json={"values": ["198.51.100.7", "192.0.2.1"]}).json()
    single = client.get(f"/v1/observables/{lookup['observable']['id']}").json()
    assert all("reference" not in item for item in many["items"]), "once, not ten thousand times"
    dates = []
    for answer in (lookup, many, single):
        shown = answer["reference"]
        dates.append({name: datetime.fromisoformat(date) for name, date in shown.items()})
    return dates


def test_answers_show_the_dates_of_the_data_behind_them(
    empty: Database, settings: Settings, provider: str, client_for: Callable[..., TestClient]
) -> None:
    def shown() -> list[dict[str, datetime]]:
        """By an API that has just been started."""
        return dates_in_answers(client_for("observables"))

    handle(empty, chunk(ADDRESS))
    assert shown() == [{}, {}, {}]
    before = datetime.now(UTC)
    refresh(empty, settings, datasets(provider))
    first, *others = shown()
    assert others == [first, first]
    assert set(first) == {"allow_lists", "network", "known_exploited"}
    assert all(before < date < datetime.now(UTC) for date in first.values())

    # Newer data with which stored observables are not described yet makes nothing younger.
    with empty.transaction(PUBLIC) as session:
        values = {"at": datetime.now(UTC)}
        session.execute(
            sa.text("UPDATE dataset SET digest = '2', obtained_at = :at WHERE name = 'networks'"),
            values,
        )
    assert shown()[0] == first
    # The same data, obtained again, is as young as that.
    age(empty)
    _Provider.files["/v4.tsv.gz"] = TABLE
    refresh(empty, settings, datasets(provider))
    assert all(shown()[0][name] > date for name, date in first.items())

    client = client_for("observables")
    query = {"value": "198.51.100.7", "as_of": before.isoformat()}
    past = client.get("/v1/lookup", params=query).json()
    assert "reference" not in past, "dates of the past are not recorded"
    identity = past["observable"]["id"]
    query = {"as_of": before.isoformat()}
    assert client.get(f"/v1/observables/{identity}", params=query).json()["reference"] == {}


def test_nothing_is_described_with_data_that_not_every_process_has_yet(
    empty: Database, settings: Settings, provider: str, client_for: Callable[..., TestClient]
) -> None:
    handle(empty, chunk(ADDRESS))
    assert refresh(empty, settings, datasets(provider), minutes=2)["described"] == 0
    answer = client_for("observables").get("/v1/lookup", params={"value": ADDRESS.value}).json()
    assert answer["reference"] == {}
    with empty.transaction(PUBLIC) as session:
        session.execute(
            sa.text("UPDATE dataset SET obtained_at = obtained_at - interval '3 minutes'")
        )
    assert refresh(empty, settings, datasets(provider), minutes=2)["described"] == 1


DAMAGED = bytearray(TABLE)
DAMAGED[12:20] = b"\xff" * 8


@pytest.mark.parametrize(
    "broken",
    [None, b"", b"PK not a zip", bytes(DAMAGED), TABLE[:-12]],
    ids=["away", "empty", "no archive", "damaged", "cut off"],
)
def test_data_that_cannot_be_fetched_is_kept_with_the_reason(
    empty: Database,
    settings: Settings,
    provider: str,
    client_for: Callable[..., TestClient],
    broken: bytes | None,
) -> None:
    refresh(empty, settings, datasets(provider))
    _Provider.files = {path: broken for path in _Provider.files if broken is not None}
    age(empty)
    outcomes = refresh(empty, settings, datasets(provider))["datasets"]
    assert outcomes["networks"] == outcomes["exploited"] == "not fetched"
    listed = client_for("observables").get("/v1/reference").json()
    states = {dataset["name"]: dataset for dataset in listed}
    assert states["networks"]["error"]
    assert states["networks"]["origin"] == f"{provider}/v4.tsv.gz"
    handle(empty, chunk(ADDRESS))
    assert context(client_for("observables"), "198.51.100.7")["network"]["asn"] == 64500


def test_without_a_network_the_bundled_lists_are_used(
    empty: Database, settings: Settings, provider: str
) -> None:
    _Provider.files = {}
    assert refresh(empty, settings, datasets(provider)[:1])["datasets"] == {
        "warninglists": "bundled"
    }

"""Values in a report, with their places, their spelling, and what is stored about them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from services.observables.reports import extraction
from services.observables.reports.extraction import MAX_POSITIONS, extract_from
from shared.database import Database
from shared.documents import Document
from shared.events.feeds import Indicator
from tests.observables.conftest import chunk, handle

REPORT = """The loader at hxxps://login[.]evil[.]com/a.php (CVE-2021-44228, T1059.001)
talks to 45.66.77.88 and to 45[.]66[.]77[.]88 again; d41d8cd98f00b204e9800998ecf8427e was dropped.
Münchner Büro, kim@evil.com."""


def post(client: TestClient, content: bytes, kind: str = "text/plain") -> dict:
    answer = client.post("/v1/extract", content=content, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    extraction: dict = answer.json()
    return extraction


def test_each_value_is_listed_once_with_all_its_places_and_spellings() -> None:
    extracted = extract_from(Document(REPORT))
    by_value = {value.value: value for value in extracted.observables}
    assert set(by_value) == {
        "https://login.evil.com/a.php",
        "CVE-2021-44228",
        "45.66.77.88",
        "d41d8cd98f00b204e9800998ecf8427e",
        "kim@evil.com",
    }
    address = by_value["45.66.77.88"]
    assert address.count == 2
    spellings = [REPORT[position.start : position.end] for position in address.positions]
    assert spellings == ["45.66.77.88", "45[.]66[.]77[.]88"]
    assert [position.written for position in address.positions] == [None, "45[.]66[.]77[.]88"]
    assert [value.value for value in extracted.attack] == ["T1059.001"]


def test_places_in_a_book_name_their_page() -> None:
    extracted = extract_from(Document("nothing here\n45.66.77.88\n1.1.1.1", [0, 13, 25]))
    pages = {value.value: value.positions[0].page for value in extracted.observables}
    assert pages == {"45.66.77.88": 2, "1.1.1.1": 3}


def test_of_a_frequent_value_the_first_places_are_listed() -> None:
    (value,) = extract_from(Document("evil.com " * 250)).observables
    assert (value.count, len(value.positions)) == (250, MAX_POSITIONS)


def test_more_values_than_a_report_names_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "MAX_DISTINCT", 2)
    extracted = extract_from(Document("a.com b.com a.com c.com a.com T1059 T1060 T1061"))
    counts = [(value.value, value.count) for value in extracted.observables]
    assert counts == [("a.com", 2), ("b.com", 1)]
    assert [value.value for value in extracted.attack] == ["T1059", "T1060"]
    assert extracted.notes == [
        "observables were taken up to character 18: 2 are as many as fit",
        "ATT&CK ids were taken up to character 42: 2 are as many as fit",
    ]


def test_the_size_of_an_extraction_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "MAX_PLACES", 3)
    extracted = extract_from(Document("a.com a.com a.com a.com b.com b.com"))
    sizes = [(value.value, value.count, len(value.positions)) for value in extracted.observables]
    assert sizes == [("a.com", 4, 3), ("b.com", 2, 1)]
    assert extracted.notes == [
        "of observables, places behind character 18 are told only where they are the first"
    ]
    monkeypatch.setattr(extraction, "MAX_CHARACTERS", 12)
    extracted = extract_from(Document("a[.]com b[.]com c[.]com"))
    assert [value.value for value in extracted.observables] == ["a.com"]


@given(st.text(st.sampled_from("abc.:/@[]()0123456789 -hxtpCVET\n"), max_size=200))
def test_places_are_those_of_the_text(text: str) -> None:
    extracted = extract_from(Document(text))
    for value in (*extracted.observables, *extracted.attack):
        for position in value.positions:
            written = text[position.start : position.end]
            assert written
            assert position.written in {None, written}


def test_values_are_listed_with_what_is_stored_about_them(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(Indicator("ipv4-addr", "45.66.77.88")))
    answer = post(client_for("observables"), REPORT.encode())
    stored = {value["value"]: value["observable"] for value in answer["observables"]}
    assert stored["45.66.77.88"]["score"] == 72
    assert stored["kim@evil.com"] is None


def test_a_page_is_read_as_a_reader_sees_it(client_for: Callable[..., TestClient]) -> None:
    page = (
        b"<html><body><p>see <b>evil.com</b></p><script>var x = 'hidden.com'</script></body></html>"
    )
    answer = post(client_for("observables"), page, "text/html")
    assert [value["value"] for value in answer["observables"]] == ["evil.com"]


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"evil.com", "application/zip", 422),
        (b"evil.com", "", 422),
        (b"\xff\xfeevil.com", "text/plain", 422),
        (b"evil\x00.com", "text/plain", 422),
        (b"caf\xe9 evil.com", "text/plain; charset=utf-8", 422),
        (b"%PDF-1.7 broken", "application/pdf", 422),
        (b"x" * (50 * 1024 * 1024), "text/plain", 413),
    ],
)
def test_an_unreadable_report_gets_a_clear_answer(
    client_for: Callable[..., TestClient], content: bytes, kind: str, status: int
) -> None:
    answer = client_for("observables").post(
        "/v1/extract", content=content, headers={"content-type": kind}
    )
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2_000

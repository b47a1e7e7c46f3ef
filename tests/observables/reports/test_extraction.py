"""A report in, what it names out: with places, as it was written, and what is known of it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from services.observables.reports import extraction
from services.observables.reports.extraction import POSITIONS, extract_from
from shared.database import Database
from shared.documents import Document
from shared.events.feeds import Indicator
from tests.observables.conftest import chunk, handle

REPORT = """The loader at hxxps://login[.]evil[.]com/a.php (CVE-2021-44228, T1059.001) talks to 45.66.77.88
and to 45[.]66[.]77[.]88 again; d41d8cd98f00b204e9800998ecf8427e was dropped. Münchner Büro, kim@evil.com."""


def post(client: TestClient, content: bytes, kind: str = "text/plain") -> dict:
    answer = client.post("/v1/extract", content=content, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    found: dict = answer.json()
    return found


def test_each_value_is_told_once_with_all_its_places_as_they_were_written() -> None:
    found = extract_from(Document(REPORT))
    by_value = {one.value: one for one in found.observables}
    assert set(by_value) == {
        "https://login.evil.com/a.php",
        "CVE-2021-44228",
        "45.66.77.88",
        "d41d8cd98f00b204e9800998ecf8427e",
        "kim@evil.com",
    }
    address = by_value["45.66.77.88"]
    assert address.count == 2
    assert [REPORT[one.start : one.end] for one in address.positions] == [
        "45.66.77.88",
        "45[.]66[.]77[.]88",
    ]
    assert [one.written for one in address.positions] == [None, "45[.]66[.]77[.]88"]
    assert [one.value for one in found.attack] == ["T1059.001"]


def test_places_in_a_book_name_their_page() -> None:
    found = extract_from(Document("nothing here\n45.66.77.88\n1.1.1.1", [0, 13, 25]))
    assert [(one.value, one.positions[0].page) for one in found.observables] == [
        ("45.66.77.88", 2),
        ("1.1.1.1", 3),
    ]


def test_of_a_value_that_is_everywhere_the_first_places_are_told() -> None:
    (one,) = extract_from(Document("evil.com " * 250)).observables
    assert (one.count, len(one.positions)) == (250, POSITIONS)


def test_more_values_than_a_report_names_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "MAX_DISTINCT", 2)
    found = extract_from(Document("a.com b.com a.com c.com a.com T1059 T1060 T1061"))
    assert [(one.value, one.count) for one in found.observables] == [("a.com", 2), ("b.com", 1)]
    assert [one.value for one in found.attack] == ["T1059", "T1060"]
    assert found.notes == [
        "observables were taken up to character 18: 2 are as many as fit",
        "ATT&CK ids were taken up to character 42: 2 are as many as fit",
    ]


def test_what_is_told_stays_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "MAX_PLACES", 3)
    found = extract_from(Document("a.com a.com a.com a.com b.com b.com"))
    assert [(one.value, one.count, len(one.positions)) for one in found.observables] == [
        ("a.com", 4, 3),
        ("b.com", 2, 1),
    ]
    assert found.notes == [
        "of observables, places behind character 18 are told only where they are the first"
    ]
    monkeypatch.setattr(extraction, "MAX_TOLD", 12)
    found = extract_from(Document("a[.]com b[.]com c[.]com"))
    assert [one.value for one in found.observables] == ["a.com"]


@given(st.text(st.sampled_from("abc.:/@[]()0123456789 -hxtpCVET\n"), max_size=200))
def test_places_are_those_of_the_text(text: str) -> None:
    found = extract_from(Document(text))
    for one in (*found.observables, *found.attack):
        for mention in one.positions:
            written = text[mention.start : mention.end]
            assert written
            assert mention.written in {None, written}


def test_what_is_known_is_told_beside_it(
    own: Database, client_for: Callable[..., TestClient]
) -> None:
    handle(own, chunk(Indicator("ipv4-addr", "45.66.77.88")))
    found = post(client_for("observables"), REPORT.encode())
    known = {one["value"]: one["observable"] for one in found["observables"]}
    assert known["45.66.77.88"]["score"] == 72
    assert known["kim@evil.com"] is None


def test_a_page_is_read_as_a_reader_sees_it(client_for: Callable[..., TestClient]) -> None:
    page = (
        b"<html><body><p>see <b>evil.com</b></p><script>var x = 'hidden.com'</script></body></html>"
    )
    assert [
        one["value"] for one in post(client_for("observables"), page, "text/html")["observables"]
    ] == ["evil.com"]


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
def test_what_cannot_be_read_gets_a_clear_answer(
    client_for: Callable[..., TestClient], content: bytes, kind: str, status: int
) -> None:
    answer = client_for("observables").post(
        "/v1/extract", content=content, headers={"content-type": kind}
    )
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 2_000

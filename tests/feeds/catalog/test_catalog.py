"""The catalog: every entry reads its sample as expected, and one command subscribes to it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from starlette.testclient import TestClient

from services.feeds.catalog import service
from services.feeds.catalog.checks import SAMPLES, check_all, check_entry, parse_sample
from services.feeds.catalog.schemas import CatalogEntry
from services.feeds.catalog.service import FOLDER, get_entry, list_entries, read_entry
from services.feeds.formats.base import LineFormat
from services.feeds.formats.registry import format_named
from shared.errors import InvalidInput, NotFound
from tests.feeds.conftest import Desk, Provider

all_entries = pytest.mark.parametrize("entry", list_entries(), ids=lambda entry: entry.slug)


def openphish(**changes: object) -> str:
    """The file of an entry, with changes."""
    text = (FOLDER / "openphish.yaml").read_text(encoding="utf-8")
    return yaml.safe_dump(yaml.safe_load(text) | changes)


def test_every_entry_reads_its_sample_as_expected() -> None:
    assert check_all() == []
    assert len(list_entries()) >= 80


def test_entries_have_origins_and_derive_from_those_of_others() -> None:
    origins = {entry.origin for entry in list_entries()}
    assert None not in origins
    assert get_entry("urlhaus").origin == get_entry("threatfox").origin == "abuse.ch"
    for entry in list_entries():
        assert set(entry.derived_from) <= origins - {entry.origin}, entry.slug
    assert get_entry("ipsum-level3").derived_from == get_entry("ipsum").derived_from != []


def test_a_wrong_expectation_is_reported(tmp_path: Path) -> None:
    for path in SAMPLES.glob("openphish.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    expected = yaml.safe_load((tmp_path / "openphish.expected.yaml").read_text())
    expected["records"][0]["value"] = "https://elsewhere.example/"
    sample = (tmp_path / "openphish.sample").read_bytes()
    problems = check_entry(get_entry("openphish"), sample, expected)
    assert len(problems) == 1
    assert problems[0].startswith("record 1 of the sample is")


@all_entries
def test_lines_that_are_new_read_as_they_do_in_the_whole(entry: CatalogEntry) -> None:
    """What a run reads of a document it knows most of is what it would have read of all of it."""
    text = (SAMPLES / f"{entry.slug}.sample").read_text(encoding="utf-8")
    lines = text.removeprefix("\ufeff").split("\n")
    format_ = format_named(entry.format)
    if not isinstance(format_, LineFormat):
        return
    reader = format_.reader(lines[:200], entry.options)
    if reader is None:
        return
    result = reader.read(lines, range(1, len(lines) + 1))
    whole = parse_sample(entry, "\n".join(lines).encode())
    assert (result.indicators, result.dropped) == whole


@all_entries
def test_what_a_provider_writes_beside_its_values_is_not_counted_as_refused(
    entry: CatalogEntry,
) -> None:
    sample = (SAMPLES / f"{entry.slug}.sample").read_bytes()
    indicators, dropped = parse_sample(entry, sample)
    assert len(dropped) <= len(indicators)


def test_an_entry_without_a_sample_and_a_sample_without_an_entry_are_reported(
    tmp_path: Path,
) -> None:
    for name in ("entries", "samples"):
        (tmp_path / name).mkdir()
    (tmp_path / "entries" / "mine.yaml").write_bytes((FOLDER / "openphish.yaml").read_bytes())
    (tmp_path / "samples" / "other.sample").write_text("https://example.org/")
    assert check_all(tmp_path / "entries", tmp_path / "samples") == [
        "mine: there is no sample and expected result",
        "other.sample belongs to no entry",
    ]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "msword"}, "'msword' is no format"),
        ({"options": {"kolumn": 1}}, "kolumn"),
        ({"collector": "ftp"}, "there is no collector 'ftp'"),
        ({"url": "http://example.org/feed.txt"}, "the address is http"),
        ({"every": "30m"}, "more often than its min_interval allows"),
        ({"types": ["url", "file-md5"]}, "file-md5 is among its types, the sample gives none"),
        ({"types": ["file-md5"]}, "the sample gives url, which is not among its types"),
    ],
)
def test_a_wrong_setting_is_reported(tmp_path: Path, change: dict[str, object], words: str) -> None:
    (tmp_path / "openphish.yaml").write_text(openphish(**change))
    assert words in "\n".join(check_all(tmp_path, SAMPLES))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"every": "now"}, "every"),
        ({"surprise": 1}, "surprise"),
        ({"types": []}, "types"),
        ({"url": "ftp://x"}, "url"),
    ],
)
def test_a_file_that_is_no_entry_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(openphish(**change))
    with pytest.raises(InvalidInput, match=words):
        read_entry(path)


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    with pytest.raises(NotFound, match="did you mean urlhaus"):
        get_entry("urlhause")


def test_subscribing_takes_the_settings_of_the_entry(
    desk: Desk, provider: tuple[str, type[Provider]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, handler = provider
    handler.body = (SAMPLES / "feodo-tracker.sample").read_bytes()
    entry = get_entry("feodo-tracker").model_copy(update={"url": url})
    monkeypatch.setattr(service, "get_entry", lambda _slug: entry)
    feed = desk.client.post("/v1/catalogue/feodo-tracker/subscribe", json={}).json()
    assert (feed["name"], feed["format"], feed["reliability"], feed["every_seconds"]) == (
        "feodo-tracker",
        "json",
        "A",
        3600,
    )
    run = desk.fetch(feed)
    assert desk.done(run)["state"] == "succeeded"
    assert desk.published_values(run)[0] == {"45.148.10.121", "80.94.95.15"}


def test_a_feed_that_cannot_be_subscribed_to_says_why(client: TestClient) -> None:
    retired = client.post("/v1/catalogue/sslbl-addresses/subscribe", json={})
    assert (retired.status_code, "retired" in retired.text) == (422, True)
    keyed = client.post("/v1/catalogue/abuseipdb-blacklist/subscribe", json={})
    assert (keyed.status_code, "credentials of kind header" in keyed.text) == (422, True)
    auth = {"kind": "header", "name": "Key", "value": "very-secret"}
    created = client.post(
        "/v1/catalogue/abuseipdb-blacklist/subscribe", json={"auth": auth, "name": "abuse"}
    )
    assert created.status_code == 201
    assert created.json()["catalogue"] == "abuseipdb-blacklist"
    assert "very-secret" not in created.text


def test_every_role_that_reads_feeds_browses_the_catalog(
    client_for: Callable[..., TestClient],
) -> None:
    viewer = client_for("feeds", "acme", "viewer")
    listed = viewer.get("/v1/catalogue").json()["items"]
    assert len(listed) == len(list_entries())
    assert viewer.get("/v1/catalogue/urlhaus").json()["provider"] == "abuse.ch"
    assert viewer.get("/v1/catalogue/nothing-like-it").status_code == 404
    assert viewer.post("/v1/catalogue/urlhaus/subscribe", json={}).status_code == 403

"""Uploads: the name of the file, the options that a feed keeps, and documents that were refused."""

import json
from typing import Any

import pytest

from tests.feeds.conftest import Desk

pytestmark = pytest.mark.timeout(180)

RAGGED = (
    b"sensor_ip,attacker_ip,comment\n203.0.113.10,198.51.100.1,ssh, seen twice\n"
    b"203.0.113.11,198.51.100.2,telnet\n203.0.113.12,198.51.100.3,smtp, seen once\n"
)
ATTACKERS = {"198.51.100.1", "198.51.100.2", "198.51.100.3"}
DOUBTFUL = b"src_ip,dst_ip\n198.51.100.7,203.0.113.9\n198.51.100.8,203.0.113.10\n"


def reparse(desk: Desk, run: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = desk.client.post(f"/v1/feeds/{run['feed_id']}/reparse", json=changes)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_preview_and_a_run_read_a_file_alike_whatever_the_feed_is_called(desk: Desk) -> None:
    previewed = desk.client.post(
        "/v1/preview/document", content=RAGGED, params={"file": "Zählung ß.csv"}
    ).json()
    assert {record["value"] for record in previewed["records"]} == ATTACKERS
    run = desk.upload(RAGGED, file="Zählung ß.csv")
    assert run["file_name"] == "Zählung ß.csv"
    assert desk.done(run)["state"] == "succeeded"
    assert desk.published_values(run)[0] == ATTACKERS
    compared = reparse(desk, run)
    assert (compared["new"]["count"], compared["gone"]["count"]) == (0, 0)


def test_the_same_bytes_under_another_ending_are_read_again(desk: Desk) -> None:
    first = desk.upload(RAGGED, file="a.csv")
    desk.done(first)
    again = desk.upload(RAGGED, file="b.csv")
    assert desk.done(again)["report"]["account"] is None
    other = desk.upload(RAGGED, file="a.txt")
    assert desk.done(other)["report"]["account"] is not None


def test_a_second_upload_tells_that_it_is_read_with_the_options_that_the_feed_keeps(
    desk: Desk,
) -> None:
    first = desk.upload(b"x 198.51.100.1\ny 198.51.100.2\n", format="text", options='{"column": 1}')
    assert desk.done(first)["state"] == "succeeded"
    second = desk.upload(b"198.51.100.3\n198.51.100.4\n")
    report = desk.done(second)["report"]
    assert report["account"]["read"] == 0
    [note] = [note for note in report["notes"] if "keeps" in note]
    assert '(format text, options {"column":1})' in note


def test_a_refused_upload_is_kept_and_read_again_with_the_option_that_settles_it(
    desk: Desk,
) -> None:
    run = desk.upload(DOUBTFUL, file="flows.csv")
    failed = desk.done(run)
    assert failed["state"] == "failed"
    choice = failed["error"]["alternatives"][0]
    compared = reparse(desk, run, **choice)
    assert [record["value"] for record in compared["new"]["records"]] == [
        "198.51.100.7",
        "198.51.100.8",
    ]
    applied = reparse(desk, run, **choice, apply=True)["run"]
    assert applied["file_name"] == "flows.csv"
    assert desk.done(applied)["state"] == "succeeded"
    assert desk.published_values(applied)[0] == {"198.51.100.7", "198.51.100.8"}


def test_a_refused_upload_is_uploaded_again_with_the_option_that_settles_it(desk: Desk) -> None:
    failed = desk.done(desk.upload(DOUBTFUL, file="flows.csv"))
    choice = failed["error"]["alternatives"][0]
    options = json.dumps(choice["options"])
    again = desk.upload(DOUBTFUL, file="flows.csv", format=choice["format"], options=options)
    assert desk.done(again)["state"] == "succeeded"
    other = desk.client.post(
        "/v1/ingest", params={"name": "mine", "options": '{"header": true}'}, content=DOUBTFUL
    )
    assert other.status_code == 409


def test_without_a_document_a_reparse_says_what_to_do(desk: Desk) -> None:
    feed = desk.client.post("/v1/feeds", json={"name": "empty"}).json()
    answer = desk.client.post(f"/v1/feeds/{feed['id']}/reparse", json={})
    assert answer.status_code == 409
    assert "upload one first" in answer.json()["title"]


@pytest.mark.parametrize("parameters", [{}, {"format": "text"}])
def test_an_unknown_option_leaves_no_feed_behind(desk: Desk, parameters: dict[str, str]) -> None:
    answer = desk.client.post(
        "/v1/ingest",
        params={"name": "mine", "options": '{"colum": 1}', **parameters},
        content=b"198.51.100.1",
    )
    assert answer.status_code == 422
    assert "column" in answer.text
    assert desk.client.get("/v1/feeds").json()["items"] == []
    added = desk.client.post("/v1/feeds", json={"name": "mine", "options": {"colum": 1}})
    assert added.status_code == 422
    assert desk.client.get("/v1/feeds").json()["items"] == []

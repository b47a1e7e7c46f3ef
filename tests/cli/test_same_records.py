"""A document yields the same records, and the same words, whichever way it comes in.

The ways are a preview, `ingest` of the command line, the upload of the API, and a feed that is
fetched. They run on the real stack.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from sentineliq.cli.client.api import ApiProblem, Client
from sentineliq.cli.client.follow_run import RunFailed, follow_run
from sentineliq.local.stack import Stack
from tests.cli.conftest import CommandLine
from tests.cli.inputs import INPUTS, Input

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack

TENANT = "sameness"
_HOSTS = 200
"""Addresses of the loopback network: a host is visited once in a while only."""


class Reading(NamedTuple):
    """What a way of coming in says of a document.

    Attributes:
        counts: by name; empty if the document is refused.
        words: how it was read, what was left out and why; or why it is refused.
        values: the observables.
    """

    counts: dict[str, Any]
    words: list[str]
    values: set[tuple[str, str]]


@contextmanager
def served(document: Input, number: int) -> Iterator[str]:
    """The document at an address that ends with the name of its file, on a host of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(document.body)))
            self.end_headers()
            self.wfile.write(document.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("0.0.0.0", 0), Handler)  # noqa: S104  # all of loopback
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.{number % _HOSTS + 2}:{server.server_port}/{quote(document.file)}"
    server.shutdown()
    server.server_close()


def counts_of(report: dict[str, Any]) -> dict[str, Any]:
    account = report.get("account") or {}
    return {
        "taken": report.get("taken", 0),
        "types": report.get("types") or {},
        "dropped": report.get("dropped") or {},
        "account": {name: account.get(name) for name in ("total", "read", "left_out", "context")},
    }


def words_of(report: dict[str, Any]) -> list[str]:
    examples = [
        f"{example['where']}: {example['reason']}: {example['raw']}: {example.get('detail')}"
        for example in report.get("examples") or []
    ]
    return [*report.get("notes", []), *examples]


def previewed(cli: CommandLine, source: str) -> Reading:
    result = cli("feeds", "preview", source, "--json")
    if result.exit_code:
        return Reading({}, [refusal(result.stderr)], set())
    preview = json.loads(result.stdout)
    assert preview["taken"] <= 50, "a preview shows fifty records"
    read_as = f"read as {preview['format']}: {preview['reason']}"
    values = {(record["type"], record["value"]) for record in preview["records"]}
    return Reading(
        counts_of(preview), words_of({**preview, "notes": [read_as, *preview["notes"]]}), values
    )


def refusal(text: str) -> str:
    """What a person reads of a refusal, without the name of who says it."""
    return text.strip().removeprefix("error: ").rstrip()


def stored(client: Client, run: dict[str, Any]) -> set[tuple[str, str]]:
    """What the feed of a run has brought."""
    rows = client.items("observables", "/v1/observables", source=run["feed_id"])
    return {(row["type"], row["value"]) for row in rows}


def followed(client: Client, run: dict[str, Any]) -> Reading:
    try:
        outcome = follow_run(client, run, notice=lambda _: None, patience=60)
    except RunFailed as failure:
        return Reading({}, [refusal(failure.message).removeprefix(f"{run['feed']}: ")], set())
    report = outcome.document["report"]
    return Reading(counts_of(report), words_of(report), stored(client, run))


def by_command(cli: CommandLine, client: Client, path: Path, name: str) -> Reading:
    result = cli("ingest", str(path), "--name", name, "--json")
    if result.exit_code:
        return Reading({}, [refusal(result.stderr).removeprefix(f"{name}: ")], set())
    run = json.loads(result.stdout)["run"]
    return Reading(counts_of(run["report"]), words_of(run["report"]), stored(client, run))


def by_api(client: Client, document: Input, name: str) -> Reading:
    try:
        run = client.upload("feeds", "/v1/ingest", document.body, name=name, file=document.file)
    except ApiProblem as problem:
        return Reading({}, [refusal(problem.message)], set())
    return followed(client, run)


def fetched(client: Client, url: str, name: str) -> Reading:
    feed = client.post("feeds", "/v1/feeds", {"name": name, "url": url})
    run = client.post("feeds", f"/v1/feeds/{feed['id']}/runs")
    return followed(client, run)


@pytest.mark.parametrize(
    ("number", "document"), list(enumerate(INPUTS)), ids=[document.file for document in INPUTS]
)
def test_every_way_in_reads_the_same(
    running_stack: Stack, tmp_path: Path, number: int, document: Input
) -> None:
    cli = CommandLine(running_stack.data_dir, TENANT)
    path = tmp_path / document.file
    path.write_bytes(document.body)
    name = f"{number} {document.file}"
    with Client(running_stack.environment, TENANT) as client, served(document, number) as url:
        preview = previewed(cli, str(path))
        ways = {
            "preview of the address": previewed(cli, url),
            "ingest": by_command(cli, client, path, f"{name} ingested"),
            "API": by_api(client, document, f"{name} uploaded"),
            "fetched": fetched(client, url, f"{name} fetched"),
        }
    for way, reading in ways.items():
        assert reading == preview, way
    assert preview.words, "it says how it was read, or why it is refused"

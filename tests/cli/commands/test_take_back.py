"""A wrong upload is taken back and restored on the real stack: counts and scores as before."""

from pathlib import Path
from uuid import uuid4

import pytest

from sentineliq.local.stack import Stack
from tests.cli.conftest import CommandLine, eventually

pytestmark = pytest.mark.timeout(180)

COUNT = 2_000


@pytest.fixture
def cli(running_stack: Stack) -> CommandLine:
    return CommandLine(running_stack.data_dir, f"take-back-{uuid4().hex[:8]}")


def lines(path: Path, *values: str) -> str:
    path.write_text("\n".join(values) + "\n")
    return str(path)


def scored(cli: CommandLine) -> int:
    return int(cli.as_json("observables", "count", "--min-score", "1")["count"])


def matched(cli: CommandLine) -> int:
    deliveries = cli.as_json("notifications", "deliveries", "list")
    return sum(delivery["match_count"] for delivery in deliveries)


def test_an_upload_is_taken_back_and_restored_without_a_word_to_rules(
    cli: CommandLine, tmp_path: Path
) -> None:
    good = lines(tmp_path / "good.txt", "198.51.100.1", "198.51.100.2")
    cli("ingest", good, "--name", "mine", "--confidence", "90")
    score = cli.as_json("lookup", "198.51.100.2")[0]["observable"]["score"]
    before = scored(cli)
    cli("notifications", "channels", "add", "log", "log")
    kinds = [word for kind in ("new", "changed", "expired") for word in ("--on", kind)]
    cli("notifications", "rules", "add", "all", "--channel", "log", "--min-score", "1", *kinds)
    names = [f"host{number}.example.net" for number in range(COUNT)]
    wrong = lines(tmp_path / "wrong.txt", "198.51.100.2", *names)
    run = cli.as_json("ingest", wrong, "--name", "mine")["run"]["id"]
    after = before + COUNT
    assert scored(cli) == after
    eventually(lambda: matched(cli) > 0, 30)
    notified = matched(cli)

    preview = cli("feeds", "retract", run, "--dry-run")
    assert f"{COUNT + 1:,} observables would be taken back" in preview.output
    assert scored(cli) == after
    result = cli("feeds", "retract", run, "--wait")
    assert result.exit_code == 0, result.output
    assert f"takes back the run {run}" in result.output
    assert result.output.count("read as") <= 1
    assert "(take-back)" in cli("feeds", "runs", "mine").output
    assert cli.as_json("feeds", "show", "mine")["health"] == "healthy"
    assert scored(cli) == before
    assert cli.as_json("lookup", "198.51.100.2")[0]["observable"]["score"] == score
    assert cli("feeds", "retract", run).exit_code == 1

    assert cli("feeds", "restore", run, "--wait").exit_code == 0
    assert scored(cli) == after
    assert matched(cli) == notified


def test_a_feed_is_deleted_with_all_that_it_has_said(cli: CommandLine, tmp_path: Path) -> None:
    cli("ingest", lines(tmp_path / "mine.txt", "203.0.113.7", "203.0.113.8"))
    assert scored(cli) == 2
    assert "would be taken back" in cli("feeds", "delete", "mine", "--dry-run").output
    assert scored(cli) == 2
    result = cli("feeds", "delete", "mine", "--take-back")
    assert result.exit_code == 0, result.output
    eventually(lambda: scored(cli) == 0, 30)
    assert cli("feeds", "show", "mine").exit_code == 1

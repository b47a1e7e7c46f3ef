"""`schedules` on the real stack."""

from collections.abc import Callable

import pytest

from tests.cli.conftest import CommandLine, eventually

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def test_a_schedule_is_effective_at_once(cli):
    schedule = cli.as_json(
        "schedules", "add", "often", "feeds.tasks.start_due_feeds", "--every", "1s"
    )
    assert schedule["every_seconds"] == 1
    eventually(
        lambda: "sent" in {fire["state"] for fire in cli.as_json("schedules", "history", "often")},
        5,
    )
    assert cli.as_json("schedules", "edit", "often", "--cron", "0 6 * * *")["every_seconds"] is None
    assert cli.as_json("schedules", "disable", "often")["enabled"] is False
    assert cli("schedules", "run", "often").exit_code == 0
    assert cli("schedules", "delete", "often").exit_code == 0
    assert "often" not in cli("schedules", "list").stdout


def test_the_history_says_what_became_of_the_work(
    cli: CommandLine, serve: Callable[[dict[str, bytes]], str]
) -> None:
    address = serve({"/list.txt": b"198.51.100.91\n"})
    for name, path in (("there", "list.txt"), ("away", "none.txt")):
        cli("feeds", "add", name, f"{address}/{path}", "--format", "text", "--paused")
        cli("schedules", "add", name, "feeds.tasks.start_feed", "--every", "1d", "--feed", name)
        assert cli("schedules", "run", name).exit_code == 0
    eventually(lambda: "run succeeded" in cli("schedules", "history", "there").stdout, 60)
    eventually(lambda: "run failed" in cli("schedules", "history", "away").stdout, 60)
    assert "404" in cli("schedules", "history", "away").stdout
    (fire,) = cli.as_json("schedules", "history", "there")
    assert fire["outcome"] == "succeeded"
    assert cli("feeds", "follow", fire["run_id"]).exit_code == 0
    cli("feeds", "delete", "away")
    assert "started the run" in cli("schedules", "history", "away").stdout

"""`schedules` on the real stack."""

import pytest

from tests.cli.conftest import eventually

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

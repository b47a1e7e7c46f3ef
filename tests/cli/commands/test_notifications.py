"""`notifications` on the real stack."""

import pytest

from tests.cli.conftest import eventually

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def test_a_rule_notifies_through_its_channel(cli, tmp_path):
    assert cli("notifications", "channels", "add", "Our log", "log").exit_code == 0
    assert "delivered in" in cli("notifications", "channels", "test", "Our log").stdout
    rule = cli.as_json(
        "notifications", "rules", "add", "High", "--channel", "Our log", "--min-score", "80"
    )
    path = tmp_path / "alarm.txt"
    path.write_text("198.51.100.99\n")
    cli("ingest", str(path), "--confidence", "95", "--reliability", "A")
    delivered = ["notifications", "deliveries", "list", "--rule", "High", "--state", "delivered"]
    [delivery] = eventually(lambda: cli.as_json(*delivered))
    assert delivery["rule_id"] == rule["id"]
    matches = cli.as_json("notifications", "deliveries", "show", delivery["id"])["matches"]
    assert [match["value"] for match in matches] == ["198.51.100.99"]
    assert cli("notifications", "rules", "delete", "High").exit_code == 0
    assert "Our log" in cli("notifications", "channels", "list").stdout

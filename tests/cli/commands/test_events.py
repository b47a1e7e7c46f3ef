"""`events` on the real stack."""

import pytest

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def test_events_can_be_watched(cli, blocklist):
    cli("ingest", blocklist)
    event = cli.as_json("events", "tail", "feeds.observed.v1", "--from-beginning", "--count", "1")
    assert event["headers"]["ce_type"] == "feeds.observed.v1"
    assert event["data"]["feed"]
    result = cli("events", "tail", "no.such.v1")
    assert result.exit_code == 1
    assert "there is no topic" in result.stderr

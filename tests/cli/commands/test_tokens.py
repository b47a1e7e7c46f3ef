"""`tokens` on the real stack."""

import time

import pytest

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def test_a_token_opens_what_its_role_may(cli, blocklist):
    token = cli(
        "tokens", "create", "--role", "viewer", "--actor", "lee@acme.example"
    ).stdout.strip()
    assert cli("feeds", "list", SENTINELIQ_TOKEN=token).exit_code == 0
    refused = cli("ingest", blocklist, SENTINELIQ_TOKEN=token)
    assert refused.exit_code == 1
    assert "needs the role analyst" in refused.stderr
    assert cli("feeds", "list", SENTINELIQ_TOKEN="nonsense").exit_code == 1


def test_a_token_is_listed_and_revoked_everywhere(cli):
    created = cli("tokens", "create", "--role", "viewer", "--actor", "lee@acme.example")
    token = created.stdout.strip()
    identity = created.stderr.split(":")[0].split()[-1]
    assert cli("feeds", "list", SENTINELIQ_TOKEN=token).exit_code == 0
    deadline = time.monotonic() + 60
    while identity not in cli("tokens", "list").stdout:
        assert time.monotonic() < deadline
        assert cli("feeds", "list", SENTINELIQ_TOKEN=token).exit_code == 0
        time.sleep(1)
    assert f"{identity} is revoked" in cli("tokens", "revoke", identity).stdout
    time.sleep(5)
    for command in (
        ("feeds", "list"),
        ("notifications", "channels", "list"),
        ("schedules", "list"),
    ):
        refused = cli(*command, SENTINELIQ_TOKEN=token)
        assert "revoked" in refused.stderr
    assert cli("feeds", "list").exit_code == 0


def test_a_token_is_for_ninety_days_at_most(cli):
    assert cli("tokens", "create", "--days", "91").exit_code != 0

"""`tokens` on the real stack."""

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

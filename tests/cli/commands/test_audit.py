"""`audit` on the real stack."""

import json

import pytest

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def test_what_people_do_is_listed_and_the_chains_are_whole(cli, blocklist):
    cli("ingest", blocklist, "--name", "audited")
    listed = json.loads(cli("audit", "list", "--action", "feeds.upload", "--json").stdout)
    assert listed[0]["details"]["name"] == "audited"
    # So many in all, of this tenant alone.
    few = json.loads(cli("audit", "list", "--limit", "2", "--json").stdout)
    assert len(few) == 2
    assert {item["tenant"] for item in few} == {cli.tenant}
    times = [item["recorded_at"] for item in few]
    assert times == sorted(times, reverse=True)
    cli("ingest", blocklist, "--name", "audited elsewhere", tenant="hooli")
    everywhere = json.loads(cli("audit", "list", "--all-tenants", "--json").stdout)
    assert {item["tenant"] for item in everywhere} >= {cli.tenant, "hooli"}
    assert cli("audit", "verify").exit_code == 0
    chains = json.loads(cli("audit", "verify", "--json").stdout)
    assert {chain["service"] for chain in chains} >= {"feeds"}
    assert {chain["broken_at"] for chain in chains} == {None}

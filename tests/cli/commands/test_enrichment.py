"""Remote enrichment from the command line, on the real stack: providers answer on loopback."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import CommandLine, eventually
from tests.observables.enrichment.provider import Providers, ReceivedCall, Reply

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack

KEY = "s3cr3t-of-initech"


def host(call: ReceivedCall) -> Reply:
    """Shodan InternetDB's layout."""
    about = {
        "ip": call.path.rpartition("/")[2],
        "ports": [22, 80],
        "hostnames": ["host.nmap.org"],
    }
    return Reply(body=json.dumps({**about, "cpes": [], "tags": ["cloud"], "vulns": []}).encode())


def keyed(call: ReceivedCall) -> Reply:
    """AbuseIPDB's layout, for requests with the key."""
    if f"key: {KEY}" not in call.headers.replace("Key:", "key:"):
        return Reply(401, b"{}")
    data = {
        "ipAddress": "1.1.1.1",
        "isPublic": True,
        "ipVersion": 4,
        "isWhitelisted": False,
        "countryCode": "US",
    }
    more = {
        "abuseConfidenceScore": 100,
        "usageType": None,
        "isp": "Linode",
        "domain": "linode.com",
        "hostnames": [],
    }
    last = {"isTor": False, "totalReports": 10, "numDistinctUsers": 5, "lastReportedAt": None}
    return Reply(body=json.dumps({"data": data | more | last}).encode())


@pytest.fixture
def cli(running_stack):
    """Tenants of their own, so that other tests do not see their answers."""
    return CommandLine(running_stack.data_dir, "initech")


@pytest.fixture(autouse=True)
def replies(providers: Providers):
    providers.replies = {"shodan_internetdb": host, "abuseipdb": keyed}
    return providers.replies


def test_a_value_is_asked_about_and_the_facts_are_shown(cli, providers):
    first = cli("enrich", "45[.]33[.]40[.]1", "--with", "shodan_internetdb")
    assert first.exit_code == 0, first.output
    assert first.stderr == "45.33.40.1  shodan_internetdb: answered\n"
    assert "45.33.40.1 has the score 0" in first.stdout
    assert "ports: 22, 80" in first.stdout
    again = cli("enrich", "45.33.40.1", "--with", "shodan_internetdb")
    assert "shodan_internetdb: known already" in again.stderr
    assert "ports: 22, 80" in again.stdout
    assert providers.queries_of("shodan_internetdb").count("45.33.40.1") == 1
    fresh = cli.as_json("enrich", "45.33.40.1", "--with", "shodan_internetdb", "--fresh")
    assert [job["outcome"] for job in fresh["request"]["jobs"]] == ["found"]
    assert fresh["observables"][0]["enrichments"][0]["facts"]["tags"] == ["cloud"]
    assert providers.queries_of("shodan_internetdb").count("45.33.40.1") == 2


def test_what_waits_has_an_estimate(cli, replies):
    answers = iter([Reply(429, headers={"Retry-After": "5"}, delay=0.6)])
    replies["isc_dshield"] = lambda _: next(answers, Reply(404))
    result = cli("enrich", "45.33.40.2", "--with", "isc_dshield")
    assert result.exit_code == 0, result.output
    *waits, ends = result.stderr.splitlines()
    assert waits
    assert all(
        line.startswith("45.33.40.2  isc_dshield: waits, probably until 20") for line in waits
    )
    assert ends == "45.33.40.2  isc_dshield: knows nothing about it"


def test_what_may_not_be_disclosed_is_refused(cli, providers):
    result = cli("enrich", "45.33.40.3", "10.0.0.1", "--with", "shodan_internetdb", "--tlp", "red")
    assert result.exit_code == 1
    assert "TLP:RED; Shodan InternetDB may receive at most TLP:GREEN." in result.stdout
    assert "45.33.40.3" not in providers.queries_of("shodan_internetdb")
    assert "single label" in cli("enrich", "nonsense").stderr
    assert (
        "There is no enricher named 'unknown'"
        in cli("enrich", "45.33.40.3", "--with", "unknown").stderr
    )


def test_a_request_need_not_be_waited_for(cli):
    request = cli.as_json("enrich", "45.33.40.4", "--with", "shodan_internetdb", "--no-wait")
    followed = cli("enrichments", "follow", request["id"])
    assert followed.exit_code == 0, followed.output
    assert "ports: 22, 80" in followed.stdout
    [job] = cli.as_json("enrichments", "list", "--enricher", "shodan_internetdb", "--limit", "1")
    assert (job["id"], job["state"]) == (request["jobs"][0]["id"], "done")


def test_a_queue_is_seen_and_taken_back(cli, replies):
    replies["stopforumspam"] = lambda _: Reply(429, headers={"Retry-After": "600"})
    values = [f"45.33.41.{number}" for number in range(1, 4)]
    assert cli("enrich", *values, "--with", "stopforumspam", "--no-wait").exit_code == 0
    eventually(lambda: "over quota until" in cli("enrichers", "list").stdout)
    waiting = cli.as_json(
        "enrichments", "list", "--state", "waiting", "--enricher", "stopforumspam"
    )
    assert all(job["estimate"] for job in waiting)
    assert len(waiting) == 3
    assert cli("enrichments", "cancel").exit_code == 2
    assert "1 queries" in cli("enrichments", "cancel", waiting[0]["id"]).stdout
    assert cli.as_json("enrichments", "cancel", "--enricher", "stopforumspam") == {"cancelled": 2}
    assert cli.as_json("enrichments", "cancel", "--all") == {"cancelled": 0}


def test_a_key_is_set_tried_and_forgotten_and_never_shown(cli):
    assert "needs a key" in cli("enrichers", "show", "abuseipdb").stdout
    refused = cli("enrichers", "key", "abuseipdb")
    assert refused.exit_code == 2
    assert "SENTINELIQ_ENRICHER_KEY" in refused.output
    assert cli("enrichers", "key", "abuseipdb", "key=wrong").exit_code == 0
    tried = cli("enrichers", "test", "abuseipdb")
    assert tried.exit_code == 1
    assert "asked about 1.1.1.1: failed" in tried.stdout
    assert "key refused until" in cli("enrichers", "list").stdout
    accepted = cli("enrichers", "key", "abuseipdb", SENTINELIQ_ENRICHER_KEY=KEY)
    assert accepted.exit_code == 0, accepted.output
    tried = cli("enrichers", "test", "abuseipdb")
    assert tried.exit_code == 0, tried.output
    assert "abuseipdb, asked about 1.1.1.1: answered" in tried.stdout
    shown = (
        json.dumps(cli.as_json("enrichers", "list"))
        + accepted.output
        + cli("enrichers", "show", "abuseipdb").stdout
    )
    assert KEY not in shown
    answer = cli("enrich", "45.33.40.5", "--with", "abuseipdb")
    assert "45.33.40.5 has the score 50" in answer.stdout
    assert "needs a key, and none is set" in cli("enrichers", "forget-key", "abuseipdb").stdout


def test_on_a_terminal_a_key_is_asked_for_without_echo(cli):
    terminal, child_end = pty.openpty()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "dumb"}
    command = [
        sys.executable,
        "-m",
        "sentineliq",
        "enrichers",
        "key",
        "abuseipdb",
        "--tenant",
        "hooli",
    ]
    command += ["--data-dir", str(cli.data_dir)]
    shown = b""
    with subprocess.Popen(
        command,
        stdin=child_end,
        stdout=subprocess.PIPE,
        stderr=child_end,
        env=environ,
        start_new_session=True,
    ) as process:
        # The last space comes when the echo is off.
        while b"key of abuseipdb: " not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, KEY.encode() + b"\n")
        stdout, _ = process.communicate(timeout=60)
    shown += os.read(terminal, 1000)
    os.close(child_end)
    os.close(terminal)
    assert process.returncode == 0
    assert b"abuseipdb has its key" in stdout
    assert KEY.encode() not in shown + stdout
    assert (
        "asked about 1.1.1.1: answered"
        in cli("enrichers", "test", "abuseipdb", tenant="hooli").stdout
    )


def test_limits_are_those_of_the_plan_that_a_key_belongs_to(cli):
    assert "as soon as ipinfo has a key" in cli("enrichers", "set", "ipinfo", "--daily", "5").stderr
    assert cli("enrichers", "key", "ipinfo", "token=t").exit_code == 0
    changed = cli.as_json(
        "enrichers",
        "set",
        "ipinfo",
        "--calls",
        "600",
        "--seconds",
        "60",
        "--daily",
        "5",
        "--max-tlp",
        "amber",
    )
    assert [changed[name] for name in ("calls", "seconds", "daily", "max_tlp")] == [
        600,
        60.0,
        5,
        "amber",
    ]
    changed = cli.as_json("enrichers", "set", "ipinfo", "--reset")
    assert [changed[name] for name in ("calls", "seconds", "daily", "max_tlp")] == [
        60,
        60,
        1600,
        "green",
    ]
    assert "switched off" in cli("enrichers", "set", "ipinfo", "--disable").stdout
    assert cli.as_json("enrichers", "set", "ipinfo", "--enable")["obstacle"] is None
    for wrong in (("ipinfo",), ("ipinfo", "--calls", "5")):
        assert cli("enrichers", "set", *wrong).exit_code == 2
    assert cli("enrichers", "set", "unknown", "--enable").exit_code == 1
    assert "enrichers list" in cli("enrichers", "show", "unknown").stderr


def test_a_policy_is_tried_made_changed_and_applied(cli, tmp_path, providers):
    def listed(name: str, *values: str) -> None:
        path = tmp_path / f"{name}.txt"
        path.write_text("\n".join(values))
        assert (
            cli(
                "ingest", str(path), "--confidence", "95", "--reliability", "A", tenant="hooli"
            ).exit_code
            == 0
        )

    def say(*arguments: str):
        return cli.as_json("policies", *arguments, tenant="hooli")

    values = [f"45.33.42.{number}" for number in range(1, 5)]
    listed("before", *values)
    arguments = [
        "Bad addresses",
        "--with",
        "shodan_internetdb",
        "--type",
        "ipv4-addr",
        "--min-score",
        "50",
    ]
    tried = eventually(
        lambda: (
            (forecast := say("add", *arguments, "--daily", "3", "--dry-run"))["changes"]
            and forecast
        )
    )
    assert (tried["calls"], tried["over_budget"]) == (3, 1)
    assert say("list") == []
    assert say("add", *arguments, "--daily", "3")["daily_budget"] == 3
    text = cli("policies", "dry-run", "Bad addresses", "--days", "2", tenant="hooli").stdout
    assert "Bad addresses would have made 3 calls" in text
    assert "over its budget: 1" in text
    changed = say(
        "change", "Bad addresses", "--unlimited", "--type", "any", "--name", "Bad", "--depth", "1"
    )
    assert [changed[name] for name in ("name", "daily_budget", "types", "depth")] == [
        "Bad",
        None,
        [],
        1,
    ]
    assert say("apply", "Bad") == {"queries": 4}
    listed("after", "45.33.42.9")
    eventually(lambda: {*values, "45.33.42.9"} <= set(providers.queries_of("shodan_internetdb")))
    [shown] = say("list")
    assert shown["queries_today"] == 5
    assert cli("policies", "change", "Bad", tenant="hooli").exit_code == 2
    assert cli("policies", "delete", "Bad", tenant="hooli").exit_code == 0
    assert "there is no policy 'Bad'" in cli("policies", "delete", "Bad", tenant="hooli").stderr

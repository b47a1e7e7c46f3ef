"""The command line against everything: one real stack for all of these."""

import asyncio
import json
import os
import signal
import time

import pytest

from sentineliq.cli.context import CommandContext
from sentineliq.local.orphans import running_processes
from shared.kafka.producer import Publisher

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack

LIST = "# seen this week\n198.51.100.7\n198.51.100.8\nnot an address\nbad.example.com\n"


def eventually(look, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)
    return found


@pytest.fixture
def blocklist(tmp_path):
    path = tmp_path / "weekly list.txt"
    path.write_text(LIST)
    return str(path)


def test_a_file_is_taken_in_once(cli, blocklist):
    first = cli("ingest", blocklist, "--confidence", "90", "--reliability", "A", "--tag", "weekly")
    assert first.exit_code == 0, first.output
    assert (
        "weekly list: 3 observables (2 ipv4-addr, 1 domain-name): 3 new, 0 changed, 0 unchanged"
        in first.stdout
    )
    assert "left out: 1" in first.stdout
    assert "line 4 'not an address'" in first.stdout

    again = cli("ingest", blocklist)
    assert "the same as last time: nothing new, nothing changed" in again.stdout

    [known, unknown] = cli.as_json("lookup", "198.51.100[.]7", "203.0.113.200")
    assert known["observable"]["score"] == 90
    assert known["observable"]["tags"] == ["weekly"]
    assert unknown["observable"] is None
    assert cli.as_json("observables", "count", "--source", "weekly list") == {"count": 3}
    assert [
        one["value"] for one in cli.as_json("observables", "list", "--type", "domain-name")
    ] == ["bad.example.com"]
    assert "the score 90" in cli("observables", "explain", "198.51.100.7").stdout


def test_what_one_tenant_takes_in_the_other_does_not_see(cli, blocklist):
    cli("ingest", blocklist, tenant="acme")
    assert cli.as_json("lookup", "198.51.100.8", tenant="globex")[0]["observable"] is None
    assert cli.as_json("feeds", "list", tenant="globex") == []


def test_an_address_becomes_a_feed_that_runs(cli, serve):
    url = f"{serve({'/list.txt': b'192.0.2.77' + bytes([10])})}/list.txt"
    outcome = cli.as_json("ingest", url, "--name", "From the web")
    assert outcome["stored"]["new"] == 1
    assert cli.as_json("feeds", "show", "From the web")["url"] == url
    assert cli.as_json("feeds", "run", "From the web")["run"]["state"] == "unchanged"
    assert [run["state"] for run in cli.as_json("feeds", "runs", "From the web")] == [
        "unchanged",
        "succeeded",
    ]
    assert cli("feeds", "delete", "From the web").exit_code == 0
    assert cli("feeds", "show", "From the web").exit_code == 1


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("cut.json", b'{"type": "bundle", "objects": [{"type": ', "the JSON is cut off here"),
        (
            "page.txt",
            b"<!doctype html><html><body>Sign in</body></html>",
            "this is an HTML page, not a feed",
        ),
        ("program.txt", b"\x7fELF\x02\x01\x01" + bytes(100), "byte 0"),
    ],
)
def test_bad_input_is_one_line_that_names_the_place(cli, tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)
    result = cli("ingest", str(path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_private_address_is_refused(cli):
    result = cli("ingest", "http://10.1.2.3/list.txt")
    assert result.exit_code == 1
    assert "outside the public internet" in result.stderr


def test_a_dead_letter_is_found_looked_at_and_sent_again(cli):
    settings = CommandContext(cli.data_dir, "acme").settings
    value = b'{"feed": "nonsense"}'
    headers = [
        ("ce_id", b"poison-1"),
        ("ce_type", b"feeds.observed.v1"),
        ("ce_source", b"/t"),
        ("ce_tenant", b"acme"),
    ]

    async def poison() -> None:
        async with Publisher(settings) as publisher:
            await publisher.send("feeds.observed.v1", b"5", value, headers)
            await publisher.flush()

    asyncio.run(poison())
    [letter] = eventually(lambda: cli.as_json("dead", "list"))
    assert letter["id"] == "feeds.observed.v1.dead/0/0"
    assert letter["origin"].startswith("feeds.observed.v1/")
    assert "does not fit feeds.observed.v1" in letter["reason"]
    shown = cli.as_json("dead", "show", letter["id"])
    assert (shown["key"], shown["data"]) == ("5", {"feed": "nonsense"})

    assert "was sent again to feeds.observed.v1" in cli("dead", "retry", letter["id"]).stdout
    # It is as wrong as before: the same bytes come back as a new letter, and the old one is done with.
    [second] = eventually(
        lambda: [one for one in cli.as_json("dead", "list") if one["id"] != letter["id"]]
    )
    again = cli.as_json("dead", "show", second["id"])
    assert (again["key"], again["data"], again["headers"]) == (
        shown["key"],
        shown["data"],
        shown["headers"],
    )
    everything = cli.as_json("dead", "list", "--all")
    assert [bool(one["retried_at"]) for one in everything] == [True, False]
    assert cli("dead", "show", "feeds.observed.v1.dead/0/99").exit_code == 1


def test_events_can_be_watched(cli, blocklist):
    cli("ingest", blocklist)
    one = cli.as_json("events", "tail", "feeds.observed.v1", "--from-beginning", "--count", "1")
    assert one["headers"]["ce_type"] == "feeds.observed.v1"
    assert one["data"]["feed"]
    result = cli("events", "tail", "no.such.v1")
    assert result.exit_code == 1
    assert "there is no topic" in result.stderr


def test_a_token_opens_what_its_role_may(cli, blocklist):
    token = cli(
        "tokens", "create", "--role", "viewer", "--actor", "lee@acme.example"
    ).stdout.strip()
    assert cli("feeds", "list", SENTINELIQ_TOKEN=token).exit_code == 0
    refused = cli("ingest", blocklist, SENTINELIQ_TOKEN=token)
    assert refused.exit_code == 1
    assert "needs the role analyst" in refused.stderr
    assert cli("feeds", "list", SENTINELIQ_TOKEN="nonsense").exit_code == 1


def test_a_schedule_is_effective_at_once(cli):
    made = cli.as_json("schedules", "add", "often", "feeds.tasks.start_due_feeds", "--every", "1s")
    assert made["every_seconds"] == 1
    eventually(
        lambda: [
            one for one in cli.as_json("schedules", "history", "often") if one["state"] == "sent"
        ],
        5,
    )
    assert cli.as_json("schedules", "edit", "often", "--cron", "0 6 * * *")["every_seconds"] is None
    assert cli.as_json("schedules", "disable", "often")["enabled"] is False
    assert cli("schedules", "run", "often").exit_code == 0
    assert cli("schedules", "delete", "often").exit_code == 0
    assert "often" not in cli("schedules", "list").stdout


def test_a_rule_tells_through_its_channel(cli, tmp_path):
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
    assert [one["value"] for one in matches] == ["198.51.100.99"]
    assert cli("notifications", "rules", "delete", "High").exit_code == 0
    assert "Our log" in cli("notifications", "channels", "list").stdout


def test_the_doctor_finds_nothing_wrong(cli):
    checks = eventually(lambda: _healthy(cli), 30)
    subjects = {one["subject"] for one in checks}
    assert {
        "PostgreSQL",
        "Valkey",
        "Kafka",
        "Beat",
        "dead letters",
        "feeds worker",
        "observables consumer",
    } <= subjects
    task = cli("doctor", "--task", "feeds.tasks.start_due_feeds")
    assert task.exit_code == 0, task.output
    assert "schedule 'start due feeds'" in task.stdout


def _healthy(cli):
    """The checks when none is a problem: on a busy machine a worker may answer too late once."""
    result = cli("doctor", "--json")
    return json.loads(result.stdout) if result.exit_code == 0 else None


def test_the_doctor_names_a_dead_worker_and_the_next_step(cli):
    pid = running_processes(cli.data_dir)["mitre-worker"]
    os.kill(
        pid, signal.SIGSTOP
    )  # killed, the supervisor would have started another before anybody looks
    try:
        result = cli("doctor", "--task", "mitre.tasks.load_release")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert result.exit_code == 1
    assert "no worker answers on the queue mitre" in result.stdout
    assert "start `python -m services.mitre worker`" in result.stdout


def test_the_doctor_knows_a_misspelt_task(cli):
    result = cli("doctor", "--task", "feeds.tasks.run_fed")
    assert result.exit_code == 1
    assert "did you mean feeds.tasks.run_feed?" in result.stdout
    assert cli("doctor", "--task", "nobody.tasks.run_feed").exit_code == 1


def test_the_catalogue_is_browsed_and_a_missing_secret_is_asked_for(cli):
    listed = cli.as_json("feeds", "catalog", "phishing")
    assert "openphish" in {entry["slug"] for entry in listed}
    assert cli.as_json("feeds", "describe", "urlhaus")["provider"] == "abuse.ch"
    wanted = cli("feeds", "subscribe", "abuseipdb-blacklist")
    assert wanted.exit_code != 0
    assert "SENTINELIQ_FEED_SECRET" in wanted.output


def test_looking_before_taking(cli, blocklist, tmp_path):
    shown = cli.as_json("feeds", "preview", blocklist)
    assert [record["value"] for record in shown["records"]] == [
        "198.51.100.7",
        "198.51.100.8",
        "bad.example.com",
    ]
    assert shown["dropped"]

    table = tmp_path / "table.csv"
    table.write_text(
        "when,src,dst\n2026-01-01,203.0.113.1,198.51.100.1\n2026-01-02,203.0.113.2,198.51.100.1\n"
    )
    cli("ingest", str(table), "--name", "flows", "--format", "csv", "--option", "columns.value=src")
    shown = cli.as_json("feeds", "reparse", "flows", "--option", "columns.value=dst")
    assert (shown["new"]["count"], shown["gone"]["count"]) == (1, 2)
    applied = cli("feeds", "reparse", "flows", "--option", "columns.value=dst", "--apply")
    assert "flows: 1 observables" in applied.stdout
    assert cli.as_json("feeds", "show", "flows")["options"] == {"columns": {"value": "dst"}}


def test_a_list_that_breaks_down_waits_for_a_person(cli, serve):
    files = {"/list.txt": "\n".join(f"192.0.2.{number}" for number in range(1, 40)).encode()}
    url = serve(files)
    added = cli("feeds", "add", "breaks", f"{url}/list.txt", "--every", "1d", "--format", "text")
    assert added.exit_code == 0, added.output
    eventually(lambda: cli.as_json("feeds", "show", "breaks")["listed"] == 39)
    files["/list.txt"] = b"192.0.2.1"
    assert "held back" in cli("feeds", "run", "breaks").stdout
    feed = cli.as_json("feeds", "show", "breaks")
    assert (feed["health"], feed["listed"]) == ("shrunk", 39)
    assert "38 gone" in cli("feeds", "confirm", "breaks").stdout
    assert cli.as_json("feeds", "show", "breaks")["listed"] == 1

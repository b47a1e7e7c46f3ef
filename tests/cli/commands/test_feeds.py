"""`ingest` and `feeds` on the real stack."""

import shlex

import pytest

from tests.cli.conftest import CommandLine, eventually

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


@pytest.fixture
def cli(running_stack):
    """A tenant of its own: other tests ingest the same list."""
    return CommandLine(running_stack.data_dir, "umbrella")


def test_a_file_is_ingested_once(cli, blocklist):
    first = cli("ingest", blocklist, "--confidence", "90", "--reliability", "A", "--tag", "weekly")
    assert first.exit_code == 0, first.output
    assert (
        "weekly list: 3 observables (2 ipv4-addr, 1 domain-name): 3 new, 0 changed, 0 unchanged"
        in first.stdout
    )
    assert "1 left out (1 " in first.stdout
    assert "line 4 'not an address'" in first.stdout

    again = cli("ingest", blocklist)
    assert "the same as last time: nothing new, nothing changed" in again.stdout

    [result, unknown] = cli.as_json("lookup", "198.51.100[.]7", "203.0.113.200")
    assert result["observable"]["score"] == 90
    assert result["observable"]["tags"] == ["weekly"]
    assert unknown["observable"] is None
    assert cli.as_json("observables", "count", "--source", "weekly list") == {"count": 3}
    domains = cli.as_json("observables", "list", "--type", "domain-name")
    assert [observable["value"] for observable in domains] == ["bad.example.com"]
    assert "the score 90" in cli("observables", "explain", "198.51.100.7").stdout


def test_what_one_tenant_ingests_another_does_not_see(cli, blocklist):
    cli("ingest", blocklist, tenant="acme")
    assert cli.as_json("lookup", "198.51.100.8", tenant="globex")[0]["observable"] is None
    assert cli.as_json("feeds", "list", tenant="globex") == []


def test_an_address_becomes_a_feed_that_runs(cli, serve):
    url = f"{serve({'/list.txt': b'192.0.2.77' + bytes([10])})}/list.txt"
    outcome = cli.as_json("ingest", url, "--name", "From the web")
    assert outcome["stored"]["new"] == 1
    assert cli.as_json("feeds", "show", "From the web")["url"] == url
    assert cli.as_json("feeds", "run", "From the web")["run"]["state"] == "unchanged"
    eventually(lambda: cli.as_json("feeds", "runs", "From the web")[1]["state"] == "succeeded", 30)
    latest, first = cli.as_json("feeds", "runs", "From the web")
    assert (latest["state"], latest["published"]) == ("unchanged", 0)
    assert first["published"] == 1
    assert cli("feeds", "delete", "From the web").exit_code == 0
    assert cli("feeds", "show", "From the web").exit_code == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
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
def test_bad_input_is_one_line_that_names_the_place(cli, tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    result = cli("ingest", str(path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_a_private_address_is_refused(cli):
    result = cli("ingest", "http://10.1.2.3/list.txt")
    assert result.exit_code == 1
    assert "outside the public internet" in result.stderr


def test_the_catalogue_is_browsed_and_a_missing_secret_is_asked_for(cli):
    listed = cli.as_json("feeds", "catalog", "phishing")
    assert "openphish" in {entry["slug"] for entry in listed}
    assert cli.as_json("feeds", "describe", "urlhaus")["provider"] == "abuse.ch"
    result = cli("feeds", "subscribe", "abuseipdb-blacklist")
    assert result.exit_code != 0
    assert "SENTINELIQ_FEED_SECRET" in result.output


def test_a_preview_stores_nothing_and_a_reparse_shows_the_difference(cli, blocklist, tmp_path):
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


def test_a_refused_file_names_the_arguments_that_settle_it_and_is_read_again(cli, tmp_path):
    log = tmp_path / "flows.csv"
    log.write_text("src_ip,dst_ip\n198.51.100.7,203.0.113.9\n198.51.100.8,203.0.113.10\n")
    refused = cli("ingest", str(log), "--name", "a refused table")
    assert refused.exit_code == 1
    _, choose, first, *_ = refused.stderr.splitlines()
    assert choose == "Choose one of:"
    assert first.strip() in cli("feeds", "runs", "a refused table").stdout
    applied = cli("feeds", "reparse", "a refused table", *shlex.split(first), "--apply")
    assert "a refused table: 2 observables (2 ipv4-addr): " in applied.stdout


def test_a_list_that_shrinks_waits_for_confirmation(cli, serve):
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

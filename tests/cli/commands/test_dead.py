"""`dead` on the real stack."""

import asyncio

import pytest

from sentineliq.cli.context import CommandContext
from shared.kafka.producer import Publisher
from tests.cli.conftest import eventually

pytestmark = pytest.mark.timeout(180)  # the first test waits for the stack


def signed_letters(cli, *options):
    """The letters of records that a service has signed: other tests forge some."""
    listed = cli.as_json("dead", "list", *options)
    return [letter for letter in listed if not letter["reason"].startswith("Unauthentic")]


def test_a_dead_letter_is_listed_shown_and_sent_again(cli):
    settings = CommandContext(cli.data_dir, "acme").settings
    value = b'{"feed": "nonsense"}'
    headers = [
        ("ce_id", b"poison-1"),
        ("ce_type", b"feeds.observed.v1"),
        ("ce_source", b"/t"),
        ("ce_tenant", b"acme"),
    ]

    async def poison() -> None:
        async with Publisher(settings, "feeds") as publisher:
            signed = publisher.signer.sign("feeds.observed.v1", b"5", value, headers)
            await publisher.send("feeds.observed.v1", b"5", value, signed)
            await publisher.flush()

    asyncio.run(poison())
    [letter] = eventually(lambda: signed_letters(cli))
    assert letter["id"].startswith("feeds.observed.v1.dead/0/")
    assert letter["origin"].startswith("feeds.observed.v1/")
    assert "does not fit feeds.observed.v1" in letter["reason"]
    shown = cli.as_json("dead", "show", letter["id"])
    assert (shown["key"], shown["data"]) == ("5", {"feed": "nonsense"})

    assert "was sent again to feeds.observed.v1" in cli("dead", "retry", letter["id"]).stdout
    # It is as wrong as before: the same bytes come back as a new letter, and the old one is marked.
    [second] = eventually(
        lambda: [other for other in signed_letters(cli) if other["id"] != letter["id"]]
    )
    again = cli.as_json("dead", "show", second["id"])
    assert (again["key"], again["data"], again["headers"]) == (
        shown["key"],
        shown["data"],
        shown["headers"],
    )
    letters = signed_letters(cli, "--all")
    assert [bool(other["retried_at"]) for other in letters] == [True, False]
    assert cli("dead", "show", "feeds.observed.v1.dead/0/99").exit_code == 1

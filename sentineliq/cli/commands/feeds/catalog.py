"""`sentineliq feeds catalog|describe|subscribe`: the public feeds that ship with SentinelIQ."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.commands.feeds.following import Wait, show_run
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.credential_prompts import (
    AuthKind,
    AuthName,
    CertificateFile,
    KeyFile,
    feed_credentials,
)
from sentineliq.cli.parameters import Every, FeedTags, parse_duration, without_none

catalog_commands = CommandGroup()

EntryName = Annotated[str, typer.Argument(metavar="ENTRY", help="The entry's name in the catalog.")]

_COLUMNS = ("entry", "title", "provider", "types", "every", "licence", "needs", "")


@catalog_commands.command("catalog")
def list_catalog(
    ctx: Context,
    word: Annotated[
        str | None,
        typer.Argument(help="Only entries with this word in name, provider, types or tags."),
    ] = None,
) -> None:
    """List the public feeds that ship with SentinelIQ."""
    entries = [
        entry
        for entry in ctx.obj.client.get("feeds", "/v1/catalogue")["items"]
        if word is None or _contains(entry, word)
    ]
    rows = map(_row, entries)
    ctx.obj.answer(entries, output.table(_COLUMNS, rows, empty="no entry contains that"))


def _contains(entry: Json, word: str) -> bool:
    texts = [
        entry["slug"],
        entry["title"],
        entry["provider"],
        entry["format"],
        *entry["types"],
        *entry["tags"],
    ]
    return any(word.lower() in text.lower() for text in texts)


def _row(entry: Json) -> tuple[Any, ...]:
    return (
        entry["slug"],
        entry["title"],
        entry["provider"],
        entry["types"],
        entry["every"],
        entry["licence"]["name"],
        (entry["auth"] or {}).get("kind"),
        "retired" if entry["retired"] else "",
    )


@catalog_commands.command("describe")
def describe_entry(ctx: Context, slug: EntryName) -> None:
    """Show an entry: contents, licence, known problems."""
    entry = ctx.obj.client.get("feeds", f"/v1/catalogue/{slug}")
    ctx.obj.answer(entry, output.details(entry))


@catalog_commands.command("subscribe")
def subscribe(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    slug: EntryName,
    *,
    name: Annotated[
        str | None, typer.Option(help="The feed's name here; by default the entry's.")
    ] = None,
    every: Every = None,
    kind: AuthKind = None,
    auth_name: AuthName = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
    tag: FeedTags = None,
    wait: Wait = None,
) -> None:
    """Subscribe to an entry of the catalog, and fetch it at once.

    When the first attempt fails, the answer says why and when it is tried again.
    """
    client = ctx.obj.client
    entry = client.get("feeds", f"/v1/catalogue/{slug}")
    body = {
        "name": name,
        "auth": _credentials(entry, kind, auth_name, certificate, key),
        "every_seconds": parse_duration(every) if every else None,
        "tags": tag or None,
    }
    feed = client.post("feeds", f"/v1/catalogue/{slug}/subscribe", without_none(body))
    for problem in entry["known_trouble"]:
        output.print_note(f"known problem: {problem}")
    run = client.post("feeds", f"/v1/feeds/{feed['id']}/runs")
    show_run(ctx.obj, run, wait=wait, beside={"feed": feed})


def _credentials(
    entry: Json, kind: str | None, name: str | None, certificate: Path | None, key: Path | None
) -> Json | None:
    """Credentials of the kind that the entry needs; it brings the fields that never change."""
    auth = entry["auth"]
    if kind is None and auth is not None and auth["required"]:
        kind = auth["kind"]
        output.print_note(f"{entry['title']} needs credentials: {auth['how']}")
    fields = auth["fields"] if auth is not None and auth["kind"] == kind else {}
    entry_name = fields.get("name") or fields.get("username")
    return feed_credentials(kind, name or entry_name, certificate, key)

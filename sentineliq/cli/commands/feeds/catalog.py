"""`sentineliq feeds catalog`, `describe`, `subscribe`: the public feeds that come with SentinelIQ."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sentineliq.cli import credential_prompts, output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.follow_run import follow
from sentineliq.cli.commands.feeds.subscriptions import Every, feeds, seconds
from sentineliq.cli.context import CommandContext, command

Slug = Annotated[str, typer.Argument(metavar="ENTRY", help="Its name in the catalogue.")]


def register() -> None:
    """Add the commands."""
    command(feeds, "catalog")(list_catalogue)
    command(feeds, "describe")(describe)
    command(feeds, "subscribe")(subscribe)


def list_catalogue(
    context: CommandContext,
    word: Annotated[
        str | None,
        typer.Argument(help="Only entries that hold it in name, provider, types or tags."),
    ] = None,
) -> None:
    """The public feeds that come with SentinelIQ."""
    found = [
        entry
        for entry in context.client.get("feeds", "/v1/catalogue")["items"]
        if _holds(entry, word)
    ]
    columns = ("entry", "title", "provider", "types", "every", "licence", "needs", "")
    rows = [
        (
            entry["slug"],
            entry["title"],
            entry["provider"],
            entry["types"],
            entry["every"],
            entry["licence"]["name"],
            (entry["auth"] or {}).get("kind"),
            "retired" if entry["retired"] else "",
        )
        for entry in found
    ]
    context.answer(found, output.table(columns, rows, empty="no entry holds that"))


def _holds(entry: Json, word: str | None) -> bool:
    if word is None:
        return True
    texts = [
        entry["slug"],
        entry["title"],
        entry["provider"],
        entry["format"],
        *entry["types"],
        *entry["tags"],
    ]
    return any(word.lower() in text.lower() for text in texts)


def describe(context: CommandContext, slug: Slug) -> None:
    """An entry of the catalogue: what it gives, under which terms, and what is known to be wrong with it."""
    found = context.client.get("feeds", f"/v1/catalogue/{slug}")
    context.answer(found, output.details(found))


def subscribe(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    slug: Slug,
    *,
    name: Annotated[
        str | None,
        typer.Option(help="What the feed is called here; the entry's name when not given."),
    ] = None,
    every: Every = None,
    kind: credential_prompts.Kind = None,
    auth_name: credential_prompts.Named = None,
    certificate: credential_prompts.Chain = None,
    key: credential_prompts.Key = None,
    wait: Annotated[
        bool, typer.Option(help="Fetch it at once and wait until all of it is stored.")
    ] = True,
) -> None:
    """Subscribe to an entry of the catalogue."""
    entry = context.client.get("feeds", f"/v1/catalogue/{slug}")
    auth = _auth(entry, kind, auth_name, certificate, key)
    body: dict[str, Any] = {
        "name": name,
        "auth": auth,
        "every_seconds": seconds(every) if every else None,
    }
    given = {key_: value for key_, value in body.items() if value is not None}
    made = context.client.post("feeds", f"/v1/catalogue/{slug}/subscribe", given)
    for trouble in entry["known_trouble"]:
        output.say(f"known: {trouble}")
    if not wait:
        context.answer(made, output.details(made))
        return
    run = context.client.post("feeds", f"/v1/feeds/{made['id']}/runs")
    outcome = follow(context.client, run)
    context.answer({"feed": made, **outcome.as_dict()}, output.cell(outcome.line()))


def _auth(
    entry: Json, kind: str | None, name: str | None, chain: Path | None, key: Path | None
) -> Json | None:
    """Credentials of the kind that the entry wants; what is always the same it brings itself."""
    wanted = entry["auth"]
    if kind is None and wanted is not None and wanted["required"]:
        kind = wanted["kind"]
        output.say(f"{entry['title']} wants credentials: {wanted['how']}")
    fields = wanted["fields"] if wanted is not None and wanted["kind"] == kind else {}
    return credential_prompts.auth(
        kind, name or fields.get("name") or fields.get("username"), chain, key
    )

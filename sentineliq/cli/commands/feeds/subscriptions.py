"""`sentineliq feeds list|show|add|origin|delete`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.credential_prompts import (
    AuthKind,
    AuthName,
    CertificateFile,
    KeyFile,
    feed_credentials,
)
from sentineliq.cli.parameters import (
    Confidence,
    Every,
    FeedReference,
    FeedTags,
    FeedTlp,
    Format,
    FormatOptions,
    Reliability,
    feed_settings,
    parse_duration,
    without_none,
)

subscription_commands = CommandGroup()

_COLUMNS = (
    "name",
    "tenant",
    "health",
    "lists",
    "format",
    "address",
    "confidence",
    "reliability",
    "every",
    "next run",
)


@subscription_commands.command("list")
def list_feeds(ctx: Context) -> None:
    """List the tenant's feeds and the public ones."""
    feeds = list(ctx.obj.client.items("feeds", "/v1/feeds"))
    empty = "no feeds yet: `sentineliq feeds add NAME URL`"
    ctx.obj.answer(feeds, output.table(_COLUMNS, map(_row, feeds), empty=empty))


def _row(feed: Json) -> tuple[Any, ...]:
    return (
        feed["name"],
        feed["tenant"],
        feed["health"] if feed["enabled"] else "switched off",
        feed["listed"],
        feed["format"] or "guessed",
        feed["url"],
        feed["confidence"],
        feed["reliability"],
        feed["every_seconds"],
        output.format_time(feed["next_run_at"]),
    )


@subscription_commands.command("show")
def show_feed(ctx: Context, feed: FeedReference) -> None:
    """Show a feed with its settings."""
    document = ctx.obj.client.find("feeds", "/v1/feeds", feed)
    ctx.obj.answer(document, output.details(document))


@subscription_commands.command("add")
def add_feed(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument()],
    url: Annotated[str, typer.Argument()],
    *,
    every: Every = "1h",
    format: Format = None,  # noqa: A002  # the option's name
    confidence: Confidence = None,
    reliability: Reliability = None,
    tlp: FeedTlp = None,
    tag: FeedTags = None,
    option: FormatOptions = None,
    origin: Annotated[
        str | None, typer.Option(help="Whose observations it publishes: abuse.ch.")
    ] = None,
    derived_from: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose observations it repeats; may be given several times."),
    ] = None,
    kind: Annotated[
        str,
        typer.Option(
            help="snapshot: the document is a whole list each time; stream: it holds only what "
            "is recent."
        ),
    ] = "snapshot",
    collector: Annotated[
        str, typer.Option(help="How it is fetched: http, taxii or misp.")
    ] = "http",
    auth: AuthKind = None,
    auth_name: AuthName = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
) -> None:
    """Subscribe to an address.

    It is fetched at once and then regularly.
    """
    body: Json = {
        "name": name,
        "url": url,
        **feed_settings(format, confidence, reliability, tlp, tag, option),
        "kind": kind,
        "collector": collector,
        **without_none({"origin": origin, "derived_from": derived_from or None}),
    }
    if every:
        body["every_seconds"] = parse_duration(every)
    if (credentials := feed_credentials(auth, auth_name, certificate, key)) is not None:
        body["auth"] = credentials
    feed = ctx.obj.client.post("feeds", "/v1/feeds", body)
    ctx.obj.answer(feed, output.details(feed))


@subscription_commands.command("origin")
def set_origin(
    ctx: Context,
    feed: FeedReference,
    origin: Annotated[str, typer.Argument(help="Whose observations it publishes: abuse.ch.")],
    derived_from: Annotated[
        list[str] | None,
        typer.Option(help="An origin whose observations it repeats; may be given several times."),
    ] = None,
) -> None:
    """Say whose observations a feed publishes.

    Of the claims of one origin the strongest counts. The next run of the feed carries it on.
    """
    item = ctx.obj.client.resolve("feeds", "/v1/feeds", feed)
    body: Json = {"origin": origin, "derived_from": derived_from or []}
    document = ctx.obj.client.patch("feeds", f"/v1/feeds/{item.id}", body)
    ctx.obj.answer(document, output.details(document))


@subscription_commands.command("delete")
def delete_feed(ctx: Context, feed: FeedReference) -> None:
    """Unsubscribe from a feed.

    Its indicators stay until they expire.
    """
    item = ctx.obj.client.resolve("feeds", "/v1/feeds", feed)
    ctx.obj.client.delete("feeds", f"/v1/feeds/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))

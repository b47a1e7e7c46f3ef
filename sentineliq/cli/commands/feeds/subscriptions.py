"""`sentineliq feeds list|show|add|origin`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.commands.feeds.following import Wait, show_run
from sentineliq.cli.commands.feeds.settings import (
    Collector,
    CollectorOptions,
    DerivedFrom,
    Kind,
    MinInterval,
    Origin,
    RetentionDays,
    fetch_settings,
)
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
    feeds.sort(key=lambda feed: (feed["name"].casefold(), feed["tenant"]))
    empty = "no feeds yet: `sentineliq feeds add NAME URL`"
    ctx.obj.answer(feeds, output.table(_COLUMNS, map(_row, feeds), empty=empty))


def _row(feed: Json) -> tuple[Any, ...]:
    return (
        feed["name"],
        feed["tenant"],
        _health(feed),
        feed["listed"],
        feed["format"] or "guessed",
        feed["url"],
        feed["confidence"],
        feed["reliability"],
        feed["every_seconds"],
        output.format_time(feed["next_run_at"]),
    )


def _health(feed: Json) -> str:
    """The health for people: a feed of which nothing was read yet is not healthy."""
    if not feed["enabled"]:
        return "switched off"
    is_new = feed["health"] == "healthy" and not feed["was_read"]
    return "never fetched" if is_new and feed["url"] else str(feed["health"])


@subscription_commands.command("show")
def show_feed(ctx: Context, feed: FeedReference) -> None:
    """Show a feed with its settings."""
    document = ctx.obj.client.find("feeds", "/v1/feeds", feed)
    ctx.obj.answer(document, output.details(document))


@subscription_commands.command("add")
def add_feed(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the feed is called in your tenant.")],
    url: Annotated[str, typer.Argument(help="Where it is fetched from.")],
    *,
    every: Every = "1h",
    format: Format = None,  # noqa: A002  # the option's name
    confidence: Confidence = None,
    reliability: Reliability = None,
    tlp: FeedTlp = None,
    tag: FeedTags = None,
    option: FormatOptions = None,
    origin: Origin = None,
    derived_from: DerivedFrom = None,
    kind: Kind = "snapshot",
    collector: Collector = "http",
    collector_option: CollectorOptions = None,
    min_interval: MinInterval = None,
    retention_days: RetentionDays = None,
    auth: AuthKind = None,
    auth_name: AuthName = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
    paused: Annotated[
        bool, typer.Option("--paused", help="Only add it: `sentineliq feeds enable FEED` begins.")
    ] = False,
    wait: Wait = None,
) -> None:
    """Subscribe to an address, which is fetched at once.

    When the first attempt fails, the answer says why and when it is tried again.
    """
    body: Json = {
        "name": name,
        "url": url,
        **feed_settings(format, confidence, reliability, tlp, tag, option),
        **fetch_settings(
            kind, collector, collector_option, origin, derived_from, min_interval, retention_days
        ),
    }
    if paused:
        body["enabled"] = False
    if every:
        body["every_seconds"] = parse_duration(every)
    if (credentials := feed_credentials(auth, auth_name, certificate, key)) is not None:
        body["auth"] = credentials
    client = ctx.obj.client
    feed = client.post("feeds", "/v1/feeds", body)
    if paused:
        ctx.obj.answer(feed, output.details(feed))
        return
    run = client.post("feeds", f"/v1/feeds/{feed['id']}/runs")
    show_run(ctx.obj, run, wait=wait, beside=feed)


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

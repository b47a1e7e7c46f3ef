"""`sentineliq feeds edit|pause|enable`."""

from typing import Annotated, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.format_options import parse_options
from sentineliq.cli.context import CommandContext, CommandGroup, Context
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

setting_commands = CommandGroup()

NOTHING: Final = "none"
"""The word that takes a setting away."""

Url = Annotated[str | None, typer.Option(help="Another address.")]
Collector = Annotated[str | None, typer.Option(help="How it is fetched: http, taxii or misp.")]
CollectorOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--collector-option",
        metavar="KEY=VALUE",
        help="Set an option of the collector; you may repeat this option.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        help="snapshot: the document is a whole list each time; stream: it holds only what is "
        "recent."
    ),
]
Origin = Annotated[str | None, typer.Option(help="Whose observations it publishes: abuse.ch.")]
DerivedFrom = Annotated[
    list[str] | None,
    typer.Option(help="An origin whose observations it repeats; may be given several times."),
]
MinInterval = Annotated[
    str | None,
    typer.Option(help="Least time between two visits to its provider: seconds, or 30m, 6h."),
]
RetentionDays = Annotated[
    int | None, typer.Option(min=1, max=3650, help="Days that its documents are kept.")
]


def fetch_settings(
    kind: str | None,
    collector: str | None,
    collector_options: list[str] | None,
    origin: str | None,
    derived_from: list[str] | None,
    min_interval: str | None,
    retention_days: int | None,
) -> Json:
    """The settings as the feeds API takes them; options that were not used are left out."""
    values: Json = {
        "kind": kind,
        "collector": collector,
        "collector_options": parse_options(collector_options) if collector_options else None,
        "origin": origin,
        "derived_from": derived_from or None,
        "min_interval": parse_duration(min_interval) if min_interval else None,
        "retention_days": retention_days,
    }
    return without_none(values)


@setting_commands.command("edit")
def edit_feed(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    feed: FeedReference,
    *,
    url: Url = None,
    every: Every = None,
    format: Format = None,  # noqa: A002  # the option's name
    confidence: Confidence = None,
    reliability: Reliability = None,
    tlp: FeedTlp = None,
    tag: FeedTags = None,
    option: FormatOptions = None,
    kind: Kind = None,
    collector: Collector = None,
    collector_option: CollectorOptions = None,
    origin: Origin = None,
    derived_from: DerivedFrom = None,
    min_interval: MinInterval = None,
    retention_days: RetentionDays = None,
    auth: AuthKind = None,
    auth_name: AuthName = None,
    certificate: CertificateFile = None,
    key: KeyFile = None,
) -> None:
    """Change settings of a feed.

    What you do not name stays. A new list replaces the old one; `none` takes the cadence, the
    format, tags, the origin or the credentials away.
    """
    changes: Json = {
        **feed_settings(format, confidence, reliability, tlp, tag, option),
        **fetch_settings(
            kind, collector, collector_option, origin, derived_from, min_interval, retention_days
        ),
        **without_none({"url": url}),
    }
    for name in ("format", "origin"):
        if changes.get(name) == NOTHING:
            changes[name] = None
    for name in ("tags", "derived_from"):
        if changes.get(name) == [NOTHING]:
            changes[name] = []
    if every is not None:
        changes["every_seconds"] = None if every == NOTHING else parse_duration(every)
    if auth == NOTHING:
        changes["auth"] = None
    elif (credentials := feed_credentials(auth, auth_name, certificate, key)) is not None:
        changes["auth"] = credentials
    if not changes:
        raise typer.BadParameter("name at least one setting to change, e.g. --every 6h")
    change_feed(ctx.obj, feed, changes)


@setting_commands.command("disable")
@setting_commands.command("pause")
def pause_feed(ctx: Context, feed: FeedReference) -> None:
    """Fetch a feed no more until you enable it again.

    What it has asserted stays.
    """
    change_feed(ctx.obj, feed, {"enabled": False})


@setting_commands.command("enable")
def enable_feed(ctx: Context, feed: FeedReference) -> None:
    """Fetch a feed again by its cadence."""
    change_feed(ctx.obj, feed, {"enabled": True})


def change_feed(context: CommandContext, reference: str, changes: Json) -> None:
    """Change a feed and show it as it stands then."""
    item = context.client.resolve("feeds", "/v1/feeds", reference)
    document = context.client.patch("feeds", f"/v1/feeds/{item.id}", changes)
    context.answer(document, output.details(document))

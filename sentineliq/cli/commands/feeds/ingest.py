"""`sentineliq ingest`."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.commands.feeds.following import show_run
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import (
    Confidence,
    FeedTags,
    FeedTlp,
    Format,
    FormatOptions,
    Reliability,
    feed_name,
    feed_settings,
    file_name,
    read_upload,
    without_none,
)

ingest = CommandGroup()


@ingest.command("ingest")
def ingest_source(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="A file here, or an address to fetch.")
    ],
    *,
    name: Annotated[
        str | None, typer.Option(help="The feed's name; by default the file's name.")
    ] = None,
    format: Format = None,  # noqa: A002  # the option's name
    confidence: Confidence = None,
    reliability: Reliability = None,
    tlp: FeedTlp = None,
    tag: FeedTags = None,
    option: FormatOptions = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Of a feed that is new: stream (a file adds to what was said; the default of "
            "files), or snapshot (a file is the whole list)."
        ),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait until it is stored, or return at once.")
    ] = True,
) -> None:
    """Ingest a file or an address and wait until it is stored.

    The answer says what was taken and what was left out.
    """
    client = ctx.obj.client
    settings = feed_settings(format, confidence, reliability, tlp, tag, option)
    settings |= without_none({"kind": kind})
    if "://" in source:
        run = _start_run(client, source, name, settings)
    else:
        run = _upload(client, Path(source), name, settings)
    show_run(ctx.obj, run, wait=wait)


def _upload(client: Client, path: Path, name: str | None, settings: Json) -> Json:
    simple = {key: value for key, value in settings.items() if key not in ("tags", "options")}
    options = output.to_json(settings["options"]) if "options" in settings else None
    run: Json = client.upload(
        "feeds",
        "/v1/ingest",
        read_upload(path),
        name=name or feed_name(path.stem),
        file=file_name(path),
        tag=settings.get("tags"),
        options=options,
        **simple,
    )
    return run


def _start_run(client: Client, url: str, name: str | None, settings: Json) -> Json:
    """A run of the feed with this address or name, which is created when there is none."""
    feed = _own_feed(client, url, name)
    if feed is None:
        parts = urlsplit(url)
        new_name = name or feed_name(f"{parts.hostname or ''}{parts.path}".rstrip("/"))
        feed = client.post("feeds", "/v1/feeds", {"name": new_name, "url": url, **settings})
    elif settings or feed["url"] != url:
        feed = client.patch("feeds", f"/v1/feeds/{feed['id']}", {"url": url, **settings})
    run: Json = client.post("feeds", f"/v1/feeds/{feed['id']}/runs")
    return run


def _own_feed(client: Client, url: str, name: str | None) -> Json | None:
    for feed in client.items("feeds", "/v1/feeds"):
        is_match = feed["name"] == name if name else feed["url"] == url
        if is_match and feed["tenant"] == client.tenant:
            return feed
    return None

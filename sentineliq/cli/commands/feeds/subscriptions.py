"""`sentineliq ingest` and `sentineliq feeds`: subscribe, upload, run."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from sentineliq.cli import credential_prompts, output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.follow_run import explained, follow
from sentineliq.cli.context import CommandContext, command
from shared.errors import InvalidInput

feeds = typer.Typer(
    help="Feeds: what is fetched, and how far it is believed.", no_args_is_help=True
)

MAX_UPLOAD: Final = 512 * 1024 * 1024
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 ._:/()+-]+")

Format = Annotated[
    str | None, typer.Option(help="text, csv, json, stix, misp, rss …; guessed when not given.")
]
Confidence = Annotated[
    int | None, typer.Option(min=0, max=100, help="Of indicators that name none.")
]
Reliability = Annotated[
    str | None, typer.Option(help="Admiralty code: A (reliable) to E, F cannot be judged.")
]
Tlp = Annotated[str | None, typer.Option(help="clear, green, amber, amber+strict or red.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="A label of everything in it; may be repeated.")
]
Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="For the format, e.g. columns.value=SHA-1; may be repeated.",
    ),
]
Every = Annotated[
    str | None, typer.Option(help="How often it is fetched: seconds, or 30m, 6h, 1d.")
]
Reference = Annotated[str, typer.Argument(metavar="FEED", help="Name or id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "ingest")(ingest)
    app.add_typer(feeds, name="feeds")


def ingest(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    source: Annotated[str, typer.Argument(metavar="FILE|URL")],
    *,
    name: Annotated[
        str | None, typer.Option(help="The feed's name; the file's when not given.")
    ] = None,
    format: Format = None,  # noqa: A002  # the option's name
    confidence: Confidence = None,
    reliability: Reliability = None,
    tlp: Tlp = None,
    tag: Tags = None,
    option: Options = None,
) -> None:
    """Take in a file or an address, wait until all of it is stored, and say what was taken and what was left out."""
    given = _settings(format, confidence, reliability, tlp, tag, option)
    run = (
        _run_address(context, source, name, given)
        if "://" in source
        else _upload(context, Path(source), name, given)
    )
    outcome = follow(context.client, run)
    context.answer(outcome.as_dict(), output.cell(outcome.line()))


def _settings(
    format_: str | None,
    confidence: int | None,
    reliability: str | None,
    tlp: str | None,
    tags: list[str] | None,
    options: list[str] | None,
) -> Json:
    """The settings that were given; those that were not are not changed."""
    values = {"format": format_, "confidence": confidence, "reliability": reliability, "tlp": tlp}
    return {
        **{key: value for key, value in values.items() if value is not None},
        **({"tags": tags} if tags else {}),
        **({"options": parse_options(options)} if options else {}),
    }


def parse_options(pairs: list[str]) -> Json:
    """`["columns.value=SHA-1"]` as `{"columns": {"value": "SHA-1"}}`; a value that is JSON is taken as JSON."""
    options: Json = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--option")
        *path, last = key.split(".")
        place = options
        for part in path:
            place = place.setdefault(part, {})
        try:
            place[last] = json.loads(text)
        except ValueError:
            place[last] = text
    return options


def read_file(path: Path) -> bytes:
    """A file that is to be uploaded."""
    size = path.stat().st_size
    if size > MAX_UPLOAD:
        raise InvalidInput(f"{path} has {size:,} bytes; an upload may have {MAX_UPLOAD:,}")
    return path.read_bytes()


def _upload(context: CommandContext, path: Path, name: str | None, given: Json) -> Json:
    params = {key: value for key, value in given.items() if key not in ("tags", "options")}
    options = json.dumps(given["options"]) if "options" in given else None
    run: Json = context.client.upload(
        "feeds",
        "/v1/ingest",
        read_file(path),
        name=name or feed_name(path.stem),
        tag=given.get("tags"),
        options=options,
        **params,
    )
    return run


def _run_address(context: CommandContext, url: str, name: str | None, given: Json) -> Json:
    """A run of the feed with this address, which is made when there is none."""
    client = context.client
    own = [feed for feed in client.items("feeds", "/v1/feeds") if feed["tenant"] == client.tenant]
    found = next(
        (feed for feed in own if (feed["name"] == name if name else feed["url"] == url)), None
    )
    if found is None:
        parts = urlsplit(url)
        called = name or feed_name(f"{parts.hostname or ''}{parts.path}".rstrip("/"))
        found = client.post("feeds", "/v1/feeds", {"name": called, "url": url, **given})
    elif given or found["url"] != url:
        found = client.patch("feeds", f"/v1/feeds/{found['id']}", {"url": url, **given})
    run: Json = client.post("feeds", f"/v1/feeds/{found['id']}/runs")
    return run


def feed_name(text: str) -> str:
    """A text as a feed may be named."""
    return _NOT_IN_NAMES.sub("-", text).lstrip(" ._:/()+-")[:120] or "upload"


def seconds(text: str) -> int:
    """`90`, `30m`, `6h` or `1d` in seconds."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: give seconds, or 30m, 6h, 1d", param_hint="--every"
        )
    return int(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


@command(feeds, "list")
def list_feeds(context: CommandContext) -> None:
    """The tenant's feeds and the public ones."""
    found = list(context.client.items("feeds", "/v1/feeds"))
    columns = (
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
    rows = [
        (
            feed["name"],
            feed["tenant"],
            feed["health"] if feed["enabled"] else "switched off",
            feed["listed"],
            feed["format"] or "guessed",
            feed["url"],
            feed["confidence"],
            feed["reliability"],
            feed["every_seconds"],
            output.moment(feed["next_run_at"]),
        )
        for feed in found
    ]
    context.answer(found, output.table(columns, rows, empty="no feeds yet: `sentineliq feeds add`"))


@command(feeds, "show")
def show_feed(context: CommandContext, feed: Reference) -> None:
    """One feed with its settings."""
    found = context.client.find("feeds", "/v1/feeds", feed)
    context.answer(found, output.details(found))


@command(feeds, "add")
def add_feed(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    name: Annotated[str, typer.Argument()],
    url: Annotated[str, typer.Argument()],
    *,
    every: Every = "1h",
    format: Format = None,  # noqa: A002  # the option's name
    confidence: Confidence = None,
    reliability: Reliability = None,
    tlp: Tlp = None,
    tag: Tags = None,
    option: Options = None,
    kind: Annotated[
        str, typer.Option(help="snapshot: a whole list each time; stream: only what is recent.")
    ] = "snapshot",
    collector: Annotated[str, typer.Option(help="http, taxii or misp.")] = "http",
    auth: credential_prompts.Kind = None,
    auth_name: credential_prompts.Named = None,
    certificate: credential_prompts.Chain = None,
    key: credential_prompts.Key = None,
) -> None:
    """Subscribe to an address; it is fetched at once and then as often as told."""
    given = _settings(format, confidence, reliability, tlp, tag, option) | {
        "kind": kind,
        "collector": collector,
    }
    if (credentials := credential_prompts.auth(auth, auth_name, certificate, key)) is not None:
        given["auth"] = credentials
    cadence = {"every_seconds": seconds(every)} if every else {}
    made = context.client.post("feeds", "/v1/feeds", {"name": name, "url": url, **cadence, **given})
    context.answer(made, output.details(made))


@command(feeds, "run")
def run_feed(context: CommandContext, feed: Reference) -> None:
    """Fetch a feed now, and wait until all of it is stored."""
    found = context.client.find("feeds", "/v1/feeds", feed)
    outcome = follow(context.client, context.client.post("feeds", f"/v1/feeds/{found['id']}/runs"))
    context.answer(outcome.as_dict(), output.cell(outcome.line()))


@command(feeds, "runs")
def list_runs(
    context: CommandContext,
    feed: Annotated[
        str | None, typer.Argument(metavar="[FEED]", help="Name or id; all feeds when not given.")
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
) -> None:
    """What the last runs brought, newest first."""
    chosen = context.client.find("feeds", "/v1/feeds", feed)["id"] if feed else None
    runs = context.client.get("feeds", "/v1/runs", feed=chosen, limit=limit)["items"]
    columns = ("queued", "feed", "state", "taken", "left out", "seconds", "by", "error")
    context.answer(runs, output.table(columns, map(_run_row, runs), empty="no runs yet"))


def _run_row(run: Json) -> tuple[Any, ...]:
    report = run["report"] or {}
    dropped = output.counted(report.get("dropped", {})) or None
    error = explained(run["error"]) if run["error"] else None
    queued = output.moment(run["queued_at"])
    return (
        queued,
        run["feed"],
        run["state"],
        report.get("taken"),
        dropped,
        report.get("seconds"),
        run["requested_by"],
        error,
    )


@command(feeds, "delete")
def delete_feed(context: CommandContext, feed: Reference) -> None:
    """Unsubscribe; what the feed said stays known until it expires."""
    found = context.client.find("feeds", "/v1/feeds", feed)
    context.client.delete("feeds", f"/v1/feeds/{found['id']}")
    context.answer({"deleted": found["id"]}, output.cell(f"{found['name']} is deleted"))

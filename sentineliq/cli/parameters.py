"""Options that several commands share, and what their values mean."""

import re
from pathlib import Path
from typing import Annotated, Final, cast, get_args

import typer

from sentineliq.cli.client.api import Json
from sentineliq.cli.client.format_options import parse_options
from shared.errors import InvalidInput
from shared.service_names import SERVICES, ServiceName

MAX_UPLOAD: Final = 512 * 1024 * 1024
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 ._:/()+-]+")
_UNIT_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

Service = Annotated[
    str | None, typer.Option(help=f"Only this service: {', '.join(get_args(ServiceName))}.")
]
FeedReference = Annotated[str, typer.Argument(metavar="FEED", help="The feed's name or id.")]
Format = Annotated[
    str | None,
    typer.Option(help="The format: text, csv, json, stix, misp, rss …; guessed by default."),
]
Confidence = Annotated[
    int | None,
    typer.Option(min=0, max=100, help="The confidence of indicators that name none."),
]
Reliability = Annotated[
    str | None,
    typer.Option(help="The source's Admiralty code: A (reliable) to E; F cannot be judged."),
]
FeedTlp = Annotated[
    str | None,
    typer.Option("--tlp", help="The marking: clear, green, amber, amber+strict or red."),
]
FeedTags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Add this label to every indicator; you may repeat this option."),
]
FormatOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--option",
        metavar="KEY=VALUE",
        help="Set an option of the format, e.g. columns.value=SHA-1; you may repeat this option.",
    ),
]
Type = Annotated[
    str | None,
    typer.Option("--type", help="The type, e.g. ipv4-addr, domain-name, url, file-sha256."),
]
AsOf = Annotated[
    str | None,
    typer.Option(help="Answer with what was recorded at this time, e.g. 2026-11-30T08:00:00Z."),
]
Every = Annotated[
    str | None, typer.Option(help="How often it is fetched: seconds, or 30m, 6h, 1d.")
]


def chosen_services(service: str | None) -> tuple[ServiceName, ...]:
    """The services that a command is about: the named one, or all.

    Raises:
        InvalidInput: there is no such service.
    """
    if service is None:
        return SERVICES
    if service not in get_args(ServiceName):
        raise InvalidInput(f"{service!r} is no service: name one of {', '.join(SERVICES)}")
    return (cast("ServiceName", service),)


def feed_settings(
    format_: str | None,
    confidence: int | None,
    reliability: str | None,
    tlp: str | None,
    tags: list[str] | None,
    options: list[str] | None,
) -> Json:
    """The settings as the feeds API takes them; options that were not used are left out."""
    values: Json = {
        "format": format_,
        "confidence": confidence,
        "reliability": reliability,
        "tlp": tlp,
        "tags": tags or None,
        "options": parse_options(options) if options else None,
    }
    return without_none(values)


def without_none(values: Json) -> Json:
    """The pairs whose value is not None."""
    return {name: value for name, value in values.items() if value is not None}


def parse_duration(text: str) -> int:
    """`90`, `30m`, `6h` or `1d` in seconds."""
    match = re.fullmatch(r"(\d{1,9})([smhd]?)", text.strip())
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no duration: give seconds, or 30m, 6h, 1d", param_hint="--every"
        )
    return int(match[1]) * _UNIT_SECONDS[match[2]]


def feed_name(text: str) -> str:
    """A text with only those characters that the feeds API allows in a name."""
    return _NOT_IN_NAMES.sub("-", text).lstrip(" ._:/()+-")[:120] or "upload"


def file_name(path: Path) -> str:
    """The name of a file as the feeds API takes it; its ending stays."""
    name = path.name.encode("utf-8", "replace").decode()
    return "".join(sign if sign >= " " else "-" for sign in name)[-255:] or "upload"


def read_upload(path: Path) -> bytes:
    """The content of a file that is to be uploaded.

    Raises:
        InvalidInput: it is larger than the API allows.
    """
    size = path.stat().st_size
    if size > MAX_UPLOAD:
        raise InvalidInput(f"{path} has {size:,} bytes; an upload may have {MAX_UPLOAD:,}")
    return path.read_bytes()

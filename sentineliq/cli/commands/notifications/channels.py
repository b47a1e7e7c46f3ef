"""`sentineliq notifications channels`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.documents import FailureReason, decode
from sentineliq.cli.client.format_options import parse_options
from sentineliq.cli.commands.notifications.items import (
    CHANNELS,
    Disabled,
    delete_item,
    switch_item,
)
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.credential_prompts import prompt_secret
from sentineliq.cli.parameters import without_none

channels = CommandGroup("Channels: how notifications are sent.")

CHANNEL_VARIABLE = "SENTINELIQ_CHANNEL_SECRET"
"""Holds a channel's secret where there is no terminal."""

ChannelReference = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="The channel's name or id.")
]
OwnSecret = Annotated[
    bool,
    typer.Option(
        "--own-secret",
        help=f"Sign with a secret of yours: you are asked for it, unless {CHANNEL_VARIABLE} "
        "holds it.",
    ),
]
Credentials = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A JSON file with the receiver's secrets, such as a token; - reads the input. "
        "`channels types` says what a kind needs.",
    ),
]
MaxTlp = Annotated[
    str | None,
    typer.Option(
        "--max-tlp",
        help="The strictest marking of what it tells: clear, green, amber, amber+strict or red.",
    ),
]
QuietPeriods = Annotated[
    list[str] | None,
    typer.Option(
        "--period",
        metavar="START-END",
        help="A span of each day, such as 22:00-06:00; you may repeat this option.",
    ),
]

_CHANNEL_COLUMNS = ("name", "kind", "configuration", "enabled", "why not")
_DELIVERY_COLUMNS = (
    "when",
    "rule",
    "channel",
    "source",
    "matches",
    "state",
    "attempts",
    "error",
    "id",
)
_TYPE_COLUMNS = ("kind", "configuration", "credentials", "what it does")


@channels.command("list")
def list_channels(ctx: Context) -> None:
    """List the tenant's channels."""
    documents = list(ctx.obj.client.items("notifications", CHANNELS))
    rows = [
        (
            channel["name"],
            channel["kind"],
            channel["config"],
            channel["enabled"],
            channel["disabled_reason"],
        )
        for channel in documents
    ]
    ctx.obj.answer(documents, output.table(_CHANNEL_COLUMNS, rows, empty="no channels yet"))


@channels.command("show")
def show_channel(ctx: Context, channel: ChannelReference) -> None:
    """Show a channel."""
    document = ctx.obj.client.find("notifications", CHANNELS, channel)
    ctx.obj.answer(document, output.details(document))


@channels.command("edit")
def edit_channel(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    channel: ChannelReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    url: Annotated[str | None, typer.Option(help="Another address of a webhook.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Configure other kinds of channel; you may repeat this option.",
        ),
    ] = None,
    secret: OwnSecret = False,
    credentials: Credentials = None,
    max_tlp: MaxTlp = None,
) -> None:
    """Change a channel; what you do not name stays."""
    client = ctx.obj.client
    item = client.find("notifications", CHANNELS, channel)
    config = parse_options(option or [])
    if url:
        config["url"] = url
    changes: Json = without_none(
        {
            "name": name,
            "max_tlp": max_tlp,
            "secret": _own_secret(is_own=secret),
            "credentials": _read_credentials(credentials),
        }
    )
    if config:
        changes["config"] = {**item["config"], **config}
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    changed = client.patch("notifications", f"{CHANNELS}/{item['id']}", changes)
    ctx.obj.answer(changed, output.details(changed))


@channels.command("add")
def add_channel(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the channel is called.")],
    kind: Annotated[
        str, typer.Argument(help="webhook, email, slack …: `channels types` lists them.")
    ],
    *,
    url: Annotated[str | None, typer.Option(help="The address that a webhook posts to.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Configure other kinds of channel; you may repeat this option.",
        ),
    ] = None,
    secret: OwnSecret = False,
    credentials: Credentials = None,
    max_tlp: MaxTlp = None,
    disabled: Disabled = False,
) -> None:
    """Add a channel.

    A webhook's signing secret is shown now and never again.
    """
    config = parse_options(option or [])
    if url:
        config["url"] = url
    body: Json = {"name": name, "kind": kind, "config": config}
    body |= without_none(
        {
            "max_tlp": max_tlp,
            "secret": _own_secret(is_own=secret),
            "credentials": _read_credentials(credentials),
        }
    )
    if disabled:
        body["enabled"] = False
    channel = ctx.obj.client.post("notifications", CHANNELS, body)
    ctx.obj.answer(channel, output.details(channel))


@channels.command("test")
def test_channel(ctx: Context, channel: ChannelReference) -> None:
    """Send a sample through a channel now."""
    item = ctx.obj.client.resolve("notifications", CHANNELS, channel)
    result = ctx.obj.client.post("notifications", f"{CHANNELS}/{item.id}/test")
    is_delivered = result["state"] == "delivered"
    if is_delivered:
        outcome = f"delivered in {result['milliseconds']} ms"
    else:
        outcome = f"failed: {decode(FailureReason, result['error'] or {})}"
    ctx.obj.answer(result, output.cell(f"{item.name}: {outcome}"))
    if not is_delivered:
        raise typer.Exit(1)


@channels.command("enable")
def enable_channel(ctx: Context, channel: ChannelReference) -> None:
    """Enable a channel."""
    switch_item(ctx.obj, CHANNELS, channel, enabled=True)


@channels.command("disable")
def disable_channel(ctx: Context, channel: ChannelReference) -> None:
    """Disable a channel."""
    switch_item(ctx.obj, CHANNELS, channel, enabled=False)


@channels.command("delete")
def delete_channel(ctx: Context, channel: ChannelReference) -> None:
    """Delete a channel that no rule uses."""
    delete_item(ctx.obj, CHANNELS, channel)


def _own_secret(*, is_own: bool) -> str | None:
    """A secret of the person's own; None when SentinelIQ is to make or keep one."""
    if not is_own:
        return None
    return prompt_secret(
        CHANNEL_VARIABLE, "secret", "secret of the channel", param_hint="--own-secret"
    )


def _read_credentials(path: Path | None) -> Json | None:
    """The secrets of a file, so that none stands on a command line."""
    if path is None:
        return None
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text()
        document = json.loads(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise typer.BadParameter(str(reason), param_hint="--credentials") from None
    if not isinstance(document, dict):
        raise typer.BadParameter("it is no JSON object", param_hint="--credentials")
    return document


@channels.command("types")
def list_channel_types(ctx: Context) -> None:
    """List the kinds of channels, and what each needs."""
    document = ctx.obj.client.get("notifications", f"{CHANNELS}/types")
    rows = [
        (kind["name"], _fields(kind["config"]), _fields(kind["credentials"]), kind["summary"])
        for kind in document["items"]
    ]
    ctx.obj.answer(document, output.table(_TYPE_COLUMNS, rows, empty="no kinds"))


def _fields(schema: Json | None) -> list[Any]:
    """The fields of a schema; those with a star are required."""
    required = (schema or {}).get("required", ())
    names = (schema or {}).get("properties", {})
    return [f"{name}*" if name in required else name for name in names]


@channels.command("quiet")
def set_quiet_hours(
    ctx: Context,
    channel: ChannelReference,
    *,
    period: QuietPeriods = None,
    timezone: Annotated[str, typer.Option(help="The receiver's zone, e.g. Europe/Vienna.")] = "UTC",
    passing: Annotated[
        list[str] | None,
        typer.Option(help="Severities that are sent at once; you may repeat this option."),
    ] = None,
    remove: Annotated[bool, typer.Option(help="Remove the quiet hours.")] = False,
) -> None:
    """Show, set or remove the quiet hours of a channel's receiver."""
    client = ctx.obj.client
    item = client.resolve("notifications", CHANNELS, channel)
    path = f"{CHANNELS}/{item.id}/quiet-hours"
    if remove:
        client.delete("notifications", path)
        ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} has no quiet hours"))
        return
    if period:
        body: Json = {"timezone": timezone, "periods": [_period(text) for text in period]}
        body |= without_none({"passing": passing})
        document = client.put("notifications", path, body)
    else:
        document = client.get("notifications", path)
    ctx.obj.answer(document, output.details(document))


def _period(text: str) -> Json:
    start, dash, end = text.partition("-")
    if not dash:
        raise typer.BadParameter(f"{text!r} is not START-END", param_hint="--period")
    return {"start": start, "end": end}

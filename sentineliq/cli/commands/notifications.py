"""`sentineliq notifications`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import DeliverySummary, FailureReason, NamedItem, decode
from sentineliq.cli.client.format_options import parse_options
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.credential_prompts import prompt_secret
from sentineliq.cli.parameters import without_none

notifications = CommandGroup("Rules, channels and deliveries.")
rules = CommandGroup("Rules: which changes are notified.")
channels = CommandGroup("Channels: how notifications are sent.")
deliveries = CommandGroup("Deliveries: what was sent, and whether it arrived.")
notifications.add_typer(rules, name="rules")
notifications.add_typer(channels, name="channels")
notifications.add_typer(deliveries, name="deliveries")

CHANNEL_VARIABLE = "SENTINELIQ_CHANNEL_SECRET"
"""Holds a channel's secret where there is no terminal."""

RuleReference = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name or id.")]
ChannelReference = Annotated[
    str, typer.Argument(metavar="CHANNEL", help="The channel's name or id.")
]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")]

Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channel",
        help="Notify through this channel (name or id); you may repeat this option.",
    ),
]
RequiredChannels = Annotated[
    list[str],
    typer.Option(
        "--channel",
        help="Notify through this channel (name or id); you may repeat this option.",
    ),
]
MinScore = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Only observables that are new at, or reach, this score."),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only observables of this type; you may repeat this option."),
]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help="Only observables of this feed; you may repeat this option."),
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", help="Only observables with this tag; you may repeat this option."),
]
FilterText = Annotated[
    str | None,
    typer.Option(
        "--filter",
        help="Only what this expression matches, e.g. "
        "'observable.value.under(\"example.com\") && change.score >= 50'.",
    ),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option(
        "--on",
        help="The kind of change: new, changed, expired or health; by default new and "
        "changed. You may repeat this option.",
    ),
]
Disabled = Annotated[
    bool, typer.Option("--disabled", help="Add it switched off; `enable` switches it on.")
]
OwnSecret = Annotated[
    bool,
    typer.Option(
        "--own-secret",
        help=f"Sign with a secret of yours: you are asked for it, unless {CHANNEL_VARIABLE} "
        "holds it.",
    ),
]

ANY = "any"
"""The word that empties a list of conditions."""

_RULES = "/v1/rules"
_CHANNELS = "/v1/channels"
_DELIVERIES = "/v1/deliveries"
_RULE_COLUMNS = (
    "name",
    "enabled",
    "on",
    "score",
    "types",
    "sources",
    "tags",
    "filter",
    "channels",
)
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
_MATCH_FIELDS = ("value", "type", "kind", "score", "score_before", "tags")


@rules.command("list")
def list_rules(ctx: Context) -> None:
    """List the tenant's rules."""
    client = ctx.obj.client
    documents = list(client.items("notifications", _RULES))
    listed_channels = decode(list[NamedItem], list(client.items("notifications", _CHANNELS)))
    names = {channel.id: channel.name for channel in listed_channels}
    rows = [_rule_row(rule, names) for rule in documents]
    ctx.obj.answer(documents, output.table(_RULE_COLUMNS, rows, empty="no rules yet"))


def _rule_row(rule: Json, channel_names: dict[str, str]) -> tuple[Any, ...]:
    return (
        rule["name"],
        rule["enabled"],
        rule["on"],
        None if rule["min_score"] is None else f"at least {rule['min_score']}",
        rule["types"] or "any",
        rule["sources"] or "any",
        rule["tags"] or "any",
        rule["filter"] or None,
        [channel_names.get(channel_id, channel_id) for channel_id in rule["channel_ids"]],
    )


@rules.command("show")
def show_rule(ctx: Context, rule: RuleReference) -> None:
    """Show a rule."""
    document = ctx.obj.client.find("notifications", _RULES, rule)
    ctx.obj.answer(document, output.details(document))


@rules.command("add")
def add_rule(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the rule is called.")],
    *,
    channel: RequiredChannels,
    min_score: MinScore = None,
    type_: Types = None,
    source: Sources = None,
    tag: Tags = None,
    filter_: FilterText = None,
    on: Kinds = None,
    disabled: Disabled = False,
) -> None:
    """Add a rule.

    A change that meets all conditions is notified through its channels.
    """
    client = ctx.obj.client
    ids = _channel_ids(client, channel)
    conditions: Json = {
        "types": type_,
        "sources": source,
        "tags": tag,
        "on": on,
        "min_score": min_score,
        "filter": filter_,
    }
    body: Json = {"name": name, "channel_ids": ids}
    body |= {field: value for field, value in conditions.items() if value}
    if disabled:
        body["enabled"] = False
    rule = client.post("notifications", _RULES, body)
    ctx.obj.answer(rule, output.details(rule))


@rules.command("edit")
def edit_rule(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    rule: RuleReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    channel: Channels = None,
    min_score: MinScore = None,
    type_: Types = None,
    source: Sources = None,
    tag: Tags = None,
    filter_: FilterText = None,
    on: Kinds = None,
) -> None:
    """Change a rule.

    What you do not name stays. A new list replaces the old one, and `any` empties it.
    """
    client = ctx.obj.client
    lists = {"types": type_, "sources": source, "tags": tag, "on": on}
    changes: Json = {
        field: [] if values == [ANY] else values for field, values in lists.items() if values
    }
    if channel:
        changes["channel_ids"] = _channel_ids(client, channel)
    if filter_ is not None:
        changes["filter"] = "" if filter_ == ANY else filter_
    changes |= without_none({"name": name, "min_score": min_score})
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    item = client.resolve("notifications", _RULES, rule)
    changed = client.patch("notifications", f"{_RULES}/{item.id}", changes)
    ctx.obj.answer(changed, output.details(changed))


@rules.command("enable")
def enable_rule(ctx: Context, rule: RuleReference) -> None:
    """Enable a rule."""
    _switch(ctx.obj, _RULES, rule, enabled=True)


@rules.command("disable")
def disable_rule(ctx: Context, rule: RuleReference) -> None:
    """Disable a rule."""
    _switch(ctx.obj, _RULES, rule, enabled=False)


@rules.command("delete")
def delete_rule(ctx: Context, rule: RuleReference) -> None:
    """Delete a rule; its waiting notifications are still delivered."""
    _delete(ctx.obj, _RULES, rule)


@channels.command("list")
def list_channels(ctx: Context) -> None:
    """List the tenant's channels."""
    documents = list(ctx.obj.client.items("notifications", _CHANNELS))
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
    document = ctx.obj.client.find("notifications", _CHANNELS, channel)
    ctx.obj.answer(document, output.details(document))


@channels.command("edit")
def edit_channel(
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
) -> None:
    """Change a channel; what you do not name stays."""
    client = ctx.obj.client
    item = client.find("notifications", _CHANNELS, channel)
    config = parse_options(option or [])
    if url:
        config["url"] = url
    changes: Json = without_none({"name": name, "secret": _own_secret(is_own=secret)})
    if config:
        changes["config"] = {**item["config"], **config}
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    changed = client.patch("notifications", f"{_CHANNELS}/{item['id']}", changes)
    ctx.obj.answer(changed, output.details(changed))


@channels.command("add")
def add_channel(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the channel is called.")],
    kind: Annotated[str, typer.Argument(help="webhook or log.")],
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
    disabled: Disabled = False,
) -> None:
    """Add a channel.

    A webhook's signing secret is shown now and never again.
    """
    config = parse_options(option or [])
    if url:
        config["url"] = url
    body: Json = {"name": name, "kind": kind, "config": config}
    body |= without_none({"secret": _own_secret(is_own=secret)})
    if disabled:
        body["enabled"] = False
    channel = ctx.obj.client.post("notifications", _CHANNELS, body)
    ctx.obj.answer(channel, output.details(channel))


@channels.command("test")
def test_channel(ctx: Context, channel: ChannelReference) -> None:
    """Send a sample through a channel now."""
    item = ctx.obj.client.resolve("notifications", _CHANNELS, channel)
    result = ctx.obj.client.post("notifications", f"{_CHANNELS}/{item.id}/test")
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
    _switch(ctx.obj, _CHANNELS, channel, enabled=True)


@channels.command("disable")
def disable_channel(ctx: Context, channel: ChannelReference) -> None:
    """Disable a channel."""
    _switch(ctx.obj, _CHANNELS, channel, enabled=False)


@channels.command("delete")
def delete_channel(ctx: Context, channel: ChannelReference) -> None:
    """Delete a channel that no rule uses."""
    _delete(ctx.obj, _CHANNELS, channel)


@deliveries.command("list")
def list_deliveries(
    ctx: Context,
    *,
    state: Annotated[
        str | None,
        typer.Option(help="Only deliveries that are pending, delivering, delivered or failed."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Only deliveries of this rule (name or id).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
) -> None:
    """List deliveries, the newest first."""
    client = ctx.obj.client
    rule_id = client.resolve("notifications", _RULES, rule).id if rule else None
    documents = list(
        client.items("notifications", _DELIVERIES, most=limit, state=state, rule_id=rule_id)
    )
    rows = map(_delivery_row, decode(list[DeliverySummary], documents))
    empty = "nothing was sent yet"
    ctx.obj.answer(documents, output.table(_DELIVERY_COLUMNS, rows, empty=empty))


def _delivery_row(delivery: DeliverySummary) -> tuple[Any, ...]:
    return (
        output.format_time(delivery.created_at),
        delivery.rule,
        delivery.channel,
        delivery.source,
        delivery.match_count,
        delivery.state,
        delivery.attempts,
        delivery.last_error,
        delivery.id,
    )


@deliveries.command("show")
def show_delivery(ctx: Context, delivery: DeliveryId) -> None:
    """Show a delivery with all its matches."""
    document = ctx.obj.client.get("notifications", f"{_DELIVERIES}/{delivery}")
    rows = [list(map(match.get, _MATCH_FIELDS)) for match in document["matches"]]
    pairs = {name: value for name, value in document.items() if name != "matches"}
    columns = ("value", "type", "kind", "score", "before", "tags")
    ctx.obj.answer(document, output.details(pairs), output.table(columns, rows))


@deliveries.command("retry")
def retry_delivery(ctx: Context, delivery: DeliveryId) -> None:
    """Try a failed or waiting delivery again now."""
    document = ctx.obj.client.post("notifications", f"{_DELIVERIES}/{delivery}/retry")
    ctx.obj.answer(document, output.cell(f"{document['rule']}: {document['state']}"))


def _channel_ids(client: Client, references: list[str]) -> list[str]:
    return [client.resolve("notifications", _CHANNELS, reference).id for reference in references]


def _own_secret(*, is_own: bool) -> str | None:
    """A secret of the person's own; None when SentinelIQ is to make or keep one."""
    if not is_own:
        return None
    return prompt_secret(
        CHANNEL_VARIABLE, "secret", "secret of the channel", param_hint="--own-secret"
    )


def _switch(context: CommandContext, path: str, reference: str, *, enabled: bool) -> None:
    item = context.client.resolve("notifications", path, reference)
    changed = context.client.patch("notifications", f"{path}/{item.id}", {"enabled": enabled})
    context.answer(changed, output.cell(f"{changed['name']} is {'on' if enabled else 'off'}"))


def _delete(context: CommandContext, path: str, reference: str) -> None:
    item = context.client.resolve("notifications", path, reference)
    context.client.delete("notifications", f"{path}/{item.id}")
    context.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))

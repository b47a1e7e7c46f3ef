"""`sentineliq notifications`: rules, channels, and what went out."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.follow_run import explained
from sentineliq.cli.commands.feeds.subscriptions import parse_options
from sentineliq.cli.context import CommandContext, command

notifications = typer.Typer(
    help="Notifications: rules, channels, deliveries.", no_args_is_help=True
)
rules = typer.Typer(help="Which changes somebody is told about.", no_args_is_help=True)
channels = typer.Typer(help="How they are told.", no_args_is_help=True)
deliveries = typer.Typer(help="What was told, and whether it arrived.", no_args_is_help=True)

RuleReference = Annotated[str, typer.Argument(metavar="RULE", help="Name or id.")]
ChannelReference = Annotated[str, typer.Argument(metavar="CHANNEL", help="Name or id.")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="Id.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    notifications.add_typer(rules, name="rules")
    notifications.add_typer(channels, name="channels")
    notifications.add_typer(deliveries, name="deliveries")
    app.add_typer(notifications, name="notifications")


@command(rules, "list")
def list_rules(context: CommandContext) -> None:
    """The tenant's rules."""
    found = list(context.client.items("notifications", "/v1/rules"))
    names = {
        one["id"]: one["name"] for one in context.client.items("notifications", "/v1/channels")
    }
    columns = ("name", "enabled", "on", "score", "types", "sources", "tags", "channels")
    context.answer(
        found,
        output.table(columns, [_rule_row(rule, names) for rule in found], empty="no rules yet"),
    )


def _rule_row(rule: Json, names: dict[str, str]) -> tuple[Any, ...]:
    told = [names.get(one, one) for one in rule["channel_ids"]]
    score = None if rule["min_score"] is None else f"at least {rule['min_score']}"
    anything = [rule[name] or "any" for name in ("types", "sources", "tags")]
    return rule["name"], rule["enabled"], rule["on"], score, *anything, told


@command(rules, "show")
def show_rule(context: CommandContext, rule: RuleReference) -> None:
    """One rule."""
    found = context.client.find("notifications", "/v1/rules", rule)
    context.answer(found, output.details(found))


@command(rules, "add")
def add_rule(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    name: Annotated[str, typer.Argument()],
    *,
    channel: Annotated[list[str], typer.Option(help="Name or id of a channel; may be repeated.")],
    min_score: Annotated[
        int | None, typer.Option(min=1, max=100, help="New at, or risen to, this score.")
    ] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Only such observables; may be repeated.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Only of this feed; may be repeated.")
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="With any of these tags; may be repeated.")
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(help="new, changed, expired, health; new and changed when not given."),
    ] = None,
) -> None:
    """Make a rule: what matches all that is given is told through its channels."""
    ids = [context.client.find("notifications", "/v1/channels", one)["id"] for one in channel]
    lists = {"types": type_, "sources": source, "tags": tag, "on": on, "min_score": min_score}
    body = {
        "name": name,
        "channel_ids": ids,
        **{key: value for key, value in lists.items() if value},
    }
    made = context.client.post("notifications", "/v1/rules", body)
    context.answer(made, output.details(made))


@command(rules, "enable")
def enable_rule(context: CommandContext, rule: RuleReference) -> None:
    """Switch a rule on."""
    _switch(context, "/v1/rules", rule, enabled=True)


@command(rules, "disable")
def disable_rule(context: CommandContext, rule: RuleReference) -> None:
    """Switch a rule off."""
    _switch(context, "/v1/rules", rule, enabled=False)


@command(rules, "delete")
def delete_rule(context: CommandContext, rule: RuleReference) -> None:
    """Delete a rule; what it has matched is still delivered."""
    _delete(context, "/v1/rules", rule)


@command(channels, "list")
def list_channels(context: CommandContext) -> None:
    """The tenant's channels."""
    found = list(context.client.items("notifications", "/v1/channels"))
    rows = [
        (one["name"], one["kind"], one["config"], one["enabled"], one["disabled_reason"])
        for one in found
    ]
    columns = ("name", "kind", "configuration", "enabled", "why not")
    context.answer(found, output.table(columns, rows, empty="no channels yet"))


@command(channels, "add")
def add_channel(
    context: CommandContext,
    name: Annotated[str, typer.Argument()],
    kind: Annotated[str, typer.Argument(help="webhook or log.")],
    *,
    url: Annotated[str | None, typer.Option(help="Where a webhook posts to.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Configuration of other kinds; may be repeated."),
    ] = None,
) -> None:
    """Make a channel. A webhook's signing secret is shown now and never again."""
    config = parse_options(option or []) | ({"url": url} if url else {})
    made = context.client.post(
        "notifications", "/v1/channels", {"name": name, "kind": kind, "config": config}
    )
    context.answer(made, output.details(made))


@command(channels, "test")
def test_channel(context: CommandContext, channel: ChannelReference) -> None:
    """Send a sample through a channel now."""
    found = context.client.find("notifications", "/v1/channels", channel)
    outcome = context.client.post("notifications", f"/v1/channels/{found['id']}/test")
    context.answer(outcome, output.cell(f"{found['name']}: {_outcome(outcome)}"))
    if outcome["state"] != "delivered":
        raise typer.Exit(1)


def _outcome(outcome: Json) -> str:
    if outcome["state"] == "delivered":
        return f"delivered in {outcome['milliseconds']} ms"
    return f"failed: {explained(outcome['error'])}"


@command(channels, "enable")
def enable_channel(context: CommandContext, channel: ChannelReference) -> None:
    """Switch a channel on."""
    _switch(context, "/v1/channels", channel, enabled=True)


@command(channels, "disable")
def disable_channel(context: CommandContext, channel: ChannelReference) -> None:
    """Switch a channel off."""
    _switch(context, "/v1/channels", channel, enabled=False)


@command(channels, "delete")
def delete_channel(context: CommandContext, channel: ChannelReference) -> None:
    """Delete a channel that no rule uses."""
    _delete(context, "/v1/channels", channel)


@command(deliveries, "list")
def list_deliveries(
    context: CommandContext,
    *,
    state: Annotated[
        str | None, typer.Option(help="pending, delivering, delivered or failed.")
    ] = None,
    rule: Annotated[str | None, typer.Option(help="Name or id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
) -> None:
    """The ledger, newest first."""
    rule_id = context.client.find("notifications", "/v1/rules", rule)["id"] if rule else None
    found = list(
        context.client.items(
            "notifications", "/v1/deliveries", most=limit, state=state, rule_id=rule_id
        )
    )
    columns = ("when", "rule", "channel", "source", "matches", "state", "attempts", "error", "id")
    context.answer(
        found, output.table(columns, map(_delivery_row, found), empty="nothing went out yet")
    )


def _delivery_row(one: Json) -> tuple[Any, ...]:
    error = explained(one["last_error"]) if one["last_error"] else None
    about = one["rule"], one["channel"], one["source"], one["match_count"]
    return output.moment(one["created_at"]), *about, one["state"], one["attempts"], error, one["id"]


@command(deliveries, "show")
def show_delivery(context: CommandContext, delivery: DeliveryId) -> None:
    """One delivery with everything it is about."""
    found = context.client.get("notifications", f"/v1/deliveries/{delivery}")
    matches = found["matches"]
    columns = ("value", "type", "kind", "score", "before", "tags")
    rows = [
        tuple(one.get(name) for name in ("value", "type", "kind", "score", "score_before", "tags"))
        for one in matches
    ]
    head = {name: value for name, value in found.items() if name != "matches"}
    context.answer(found, output.details(head), output.table(columns, rows))


@command(deliveries, "retry")
def retry_delivery(context: CommandContext, delivery: DeliveryId) -> None:
    """Try a failed or waiting delivery again now."""
    found = context.client.post("notifications", f"/v1/deliveries/{delivery}/retry")
    context.answer(found, output.cell(f"{found['rule']}: {found['state']}"))


def _switch(context: CommandContext, path: str, reference: str, *, enabled: bool) -> None:
    found = context.client.find("notifications", path, reference)
    changed = context.client.patch("notifications", f"{path}/{found['id']}", {"enabled": enabled})
    context.answer(changed, output.cell(f"{changed['name']} is {'on' if enabled else 'off'}"))


def _delete(context: CommandContext, path: str, reference: str) -> None:
    found = context.client.find("notifications", path, reference)
    context.client.delete("notifications", f"{path}/{found['id']}")
    context.answer({"deleted": found["id"]}, output.cell(f"{found['name']} is deleted"))

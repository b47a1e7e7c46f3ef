"""`sentineliq notifications rules`."""

import json
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.documents import NamedItem, decode
from sentineliq.cli.commands.notifications.items import (
    CHANNELS,
    RULES,
    Disabled,
    channel_ids,
    delete_item,
    switch_item,
)
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none

rules = CommandGroup("Rules: which changes are notified.")

RuleReference = Annotated[str, typer.Argument(metavar="RULE", help="The rule's name or id.")]
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
GroupBy = Annotated[
    list[str] | None,
    typer.Option(
        help="Tell what has this field in common together, e.g. source.name; `event` tells of "
        "each event by itself, `any` of all together. You may repeat this option."
    ),
]
UpdateSeconds = Annotated[
    int | None, typer.Option(min=1, help="Seconds between two messages of a group.")
]
MaxGroups = Annotated[
    int | None, typer.Option(min=1, help="Most open groups; what is more is told together.")
]
TopicWord = Annotated[
    str | None,
    typer.Option(
        help="What it tells of: observables, runs, health, trends, releases, schedules, lists "
        "or deliveries; by default observables."
    ),
]
TemplateFile = Annotated[
    typer.FileText | None,
    typer.Option(help="Set the template of this file, or of the input (`-`)."),
]
Severity = Annotated[str | None, typer.Option(help="How bad it is: low, medium, high or critical.")]
Digest = Annotated[
    str | None, typer.Option(help="Tell of it in this digest (name or id), not at once.")
]
Escalation = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SECONDS=CHANNEL",
        help="Remind this channel when nobody acknowledges for so long; you may repeat it.",
    ),
]

ANY = "any"
"""The word that empties a list of conditions."""

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


@rules.command("list")
def list_rules(ctx: Context) -> None:
    """List the tenant's rules."""
    client = ctx.obj.client
    documents = list(client.items("notifications", RULES))
    listed_channels = decode(list[NamedItem], list(client.items("notifications", CHANNELS)))
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
    document = ctx.obj.client.find("notifications", RULES, rule)
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
    group_by: GroupBy = None,
    update_seconds: UpdateSeconds = None,
    max_groups: MaxGroups = None,
    severity: Severity = None,
    digest: Digest = None,
    escalation: Escalation = None,
    topic: TopicWord = None,
    disabled: Disabled = False,
) -> None:
    """Add a rule.

    A change that meets all conditions is notified through its channels.
    """
    client = ctx.obj.client
    ids = channel_ids(client, channel)
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
    body |= _grouping(ctx.obj, group_by, digest, escalation)
    body |= without_none(
        {
            "update_seconds": update_seconds,
            "max_groups": max_groups,
            "severity": severity,
            "topic": topic,
        }
    )
    if disabled:
        body["enabled"] = False
    rule = client.post("notifications", RULES, body)
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
    group_by: GroupBy = None,
    update_seconds: UpdateSeconds = None,
    max_groups: MaxGroups = None,
    severity: Severity = None,
    digest: Digest = None,
    escalation: Escalation = None,
    topic: TopicWord = None,
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
        changes["channel_ids"] = channel_ids(client, channel)
    if filter_ is not None:
        changes["filter"] = "" if filter_ == ANY else filter_
    changes |= _grouping(ctx.obj, group_by, digest, escalation)
    changes |= without_none(
        {
            "name": name,
            "min_score": min_score,
            "update_seconds": update_seconds,
            "max_groups": max_groups,
            "severity": severity,
            "topic": topic,
        }
    )
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    item = client.resolve("notifications", RULES, rule)
    changed = client.patch("notifications", f"{RULES}/{item.id}", changes)
    ctx.obj.answer(changed, output.details(changed))


@rules.command("enable")
def enable_rule(ctx: Context, rule: RuleReference) -> None:
    """Enable a rule."""
    switch_item(ctx.obj, RULES, rule, enabled=True)


@rules.command("disable")
def disable_rule(ctx: Context, rule: RuleReference) -> None:
    """Disable a rule."""
    switch_item(ctx.obj, RULES, rule, enabled=False)


@rules.command("delete")
def delete_rule(ctx: Context, rule: RuleReference) -> None:
    """Delete a rule; its waiting notifications are still delivered."""
    delete_item(ctx.obj, RULES, rule)


@rules.command("template")
def template_of_rule(
    ctx: Context,
    rule: RuleReference,
    *,
    file: TemplateFile = None,
    remove: Annotated[bool, typer.Option(help="Use the channels' own words again.")] = False,
) -> None:
    """Show, set or remove the template of a rule."""
    client = ctx.obj.client
    item = client.resolve("notifications", RULES, rule)
    path = f"{RULES}/{item.id}/template"
    if remove:
        client.delete("notifications", path)
        ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} has no template now"))
        return
    if file is None:
        document = client.get("notifications", path)
    else:
        document = client.put("notifications", path, {"text": file.read()})
    ctx.obj.answer(document, output.details(document))


@rules.command("try-template")
def try_template(
    ctx: Context,
    file: Annotated[
        typer.FileText, typer.Argument(help="The template, or `-` to read it from the input.")
    ],
    topic: Annotated[
        str, typer.Option(help="The topic of the rule; the sample is an event of it.")
    ] = "observables",
) -> None:
    """Show what a template writes of a sample."""
    body = {"text": file.read(), "topic": topic}
    document = ctx.obj.client.post("notifications", "/v1/templates/preview", body)
    ctx.obj.answer(document, output.details(document))


@rules.command("try")
def try_rule(
    ctx: Context,
    rule: RuleReference,
    *,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far to look back.")] = 24,
    changes: Annotated[
        str | None,
        typer.Option(
            help="Changes of the rule to compare with it, as JSON: '{\"min_score\": 80}'."
        ),
    ] = None,
) -> None:
    """Show what a rule would have sent of the last hours. Nothing is sent."""
    item = ctx.obj.client.resolve("notifications", RULES, rule)
    body: Json = {"hours": hours}
    if changes is not None:
        try:
            body["changes"] = json.loads(changes)
        except ValueError:
            raise typer.BadParameter("this is not JSON", param_hint="--changes") from None
    document = ctx.obj.client.post("notifications", f"{RULES}/{item.id}/dry-run", body)
    ctx.obj.answer(document, output.details(document))


def _grouping(
    context: CommandContext,
    group_by: list[str] | None,
    digest: str | None,
    escalation: list[str] | None,
) -> Json:
    """The fields of groups; options that were not used are left out."""
    client = context.client
    values: Json = {}
    if group_by:
        values["group_by"] = [] if group_by == [ANY] else group_by
    if digest:
        is_none = digest == ANY
        item = None if is_none else client.resolve("notifications", "/v1/digests", digest)
        values["digest_id"] = item.id if item else None
    if escalation:
        values["escalation"] = [_step(context, step) for step in escalation if step != ANY]
    return values


def _step(context: CommandContext, text: str) -> Json:
    seconds, equals, channel = text.partition("=")
    if not (equals and seconds.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not SECONDS=CHANNEL", param_hint="--escalation")
    return {"after_seconds": int(seconds), "channel_ids": channel_ids(context.client, [channel])}

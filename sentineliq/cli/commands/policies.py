"""`sentineliq policies`."""

from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.documents import NamedItem, decode
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none
from shared.errors import NotFound

policies = CommandGroup("Policies: which observables are enriched unasked.")

ANY: Final = "any"
"""In place of a list's values: it restricts nothing."""
_PATH: Final = "/v1/enrichment-policies"
_COLUMNS: Final = (
    "name",
    "enabled",
    "queries",
    "types",
    "sources",
    "tags",
    "score",
    "depth",
    "today",
    "over budget",
)

PolicyReference = Annotated[str, typer.Argument(metavar="POLICY", help="The policy's name or id.")]
Enrichers = Annotated[
    list[str] | None,
    typer.Option(
        "--with", metavar="ENRICHER", help="Ask this enricher; you may repeat this option."
    ),
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
MinScore = Annotated[
    int | None, typer.Option(min=0, max=100, help="Only observables with at least this score.")
]
Depth = Annotated[
    int | None,
    typer.Option(min=0, max=3, help="Also ask about observables that so many answers led to."),
]
Daily = Annotated[int | None, typer.Option(min=0, help="At most so many queries a day (UTC).")]
Days = Annotated[int, typer.Option(min=1, max=7, help="Look at so many days back.")]


@policies.command("list")
def list_policies(ctx: Context) -> None:
    """List the tenant's policies, the oldest first."""
    documents = ctx.obj.client.get("observables", _PATH)
    empty = "no policies yet: nothing is asked automatically"
    ctx.obj.answer(documents, output.table(_COLUMNS, map(_row, documents), empty=empty))


def _row(policy: Json) -> tuple[Any, ...]:
    budget = policy["daily_budget"]
    limit = "" if budget is None else f" of {budget:,}"
    return (
        policy["name"],
        policy["enabled"],
        policy["enrichers"],
        policy["types"] or ANY,
        policy["sources"] or ANY,
        policy["tags"] or ANY,
        f"at least {policy['min_score']}",
        policy["depth"],
        f"{policy['queries_today']:,}{limit}",
        policy["over_budget_today"],
    )


@policies.command("add")
def add_policy(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the policy is called.")],
    *,
    with_: Annotated[
        list[str],
        typer.Option(
            "--with", metavar="ENRICHER", help="Ask this enricher; you may repeat this option."
        ),
    ],
    type_: Types = None,
    source: Sources = None,
    tag: Tags = None,
    min_score: MinScore = None,
    depth: Depth = None,
    daily: Daily = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only show what the policy would have asked."),
    ] = False,
    days: Days = 1,
) -> None:
    """Add a policy; try it with --dry-run first.

    It asks about each changed observable that meets all conditions.
    """
    body = {"name": name, **_fields(with_, type_, source, tag, min_score, depth, daily)}
    if dry_run:
        forecast = ctx.obj.client.post("observables", f"{_PATH}/dry-run", body, days=days)
        ctx.obj.answer(forecast, *_forecast_blocks(name, forecast))
        return
    policy = ctx.obj.client.post("observables", _PATH, body)
    ctx.obj.answer(policy, output.details(policy))


def _fields(
    enrichers: list[str] | None,
    types: list[str] | None,
    sources: list[str] | None,
    tags: list[str] | None,
    min_score: int | None,
    depth: int | None,
    daily: int | None,
) -> Json:
    """The fields as the API takes them; options that were not used are left out."""
    lists = {"enrichers": enrichers, "types": types, "sources": sources, "tags": tags}
    fields: Json = {
        name: [] if values == [ANY] else values for name, values in lists.items() if values
    }
    numbers = {"min_score": min_score, "depth": depth, "daily_budget": daily}
    return {**fields, **without_none(numbers)}


@policies.command("edit")
@policies.command("change")
def change_policy(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    policy: PolicyReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Let it ask, or do not.")
    ] = None,
    with_: Enrichers = None,
    type_: Types = None,
    source: Sources = None,
    tag: Tags = None,
    min_score: MinScore = None,
    depth: Depth = None,
    daily: Daily = None,
    unlimited: Annotated[
        bool, typer.Option("--unlimited", help="Remove the daily budget; providers' quotas stay.")
    ] = False,
) -> None:
    """Change a policy.

    A new list replaces the old one, and `any` empties it.
    """
    changes = _fields(with_, type_, source, tag, min_score, depth, daily)
    changes |= without_none({"name": name, "enabled": enabled})
    if unlimited:
        changes["daily_budget"] = None
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    item = _resolve(ctx.obj, policy)
    changed = ctx.obj.client.patch("observables", f"{_PATH}/{item.id}", changes)
    ctx.obj.answer(changed, output.details(changed))


@policies.command("delete")
def delete_policy(ctx: Context, policy: PolicyReference) -> None:
    """Delete a policy; its waiting queries are still sent."""
    item = _resolve(ctx.obj, policy)
    ctx.obj.client.delete("observables", f"{_PATH}/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))


@policies.command("dry-run")
def forecast_policy(ctx: Context, policy: PolicyReference, *, days: Days = 1) -> None:
    """Show what a policy would have asked in the last days."""
    item = _resolve(ctx.obj, policy)
    forecast = ctx.obj.client.post("observables", f"{_PATH}/{item.id}/dry-run", days=days)
    ctx.obj.answer(forecast, *_forecast_blocks(item.name, forecast))


def _forecast_blocks(name: str, forecast: Json) -> list[RenderableType]:
    days = "day" if forecast["days"] == 1 else f"{forecast['days']} days"
    calls = f"{name} would have made {forecast['calls']:,} calls"
    lines = [f"{calls}: {forecast['changes']:,} changes of observables in the last {days}"]
    if forecast["by_enricher"]:
        lines.append(f"by enricher: {output.format_counts(forecast['by_enricher'])}")
    if len(forecast["by_day"]) > 1:
        by_day = [f"{day} {count:,}" for day, count in sorted(forecast["by_day"].items())]
        lines.append(f"by day: {', '.join(by_day)}")
    if forecast["over_budget"]:
        lines.append(f"over its budget: {forecast['over_budget']:,}")
    if forecast["refused"]:
        lines.append(f"not allowed: {output.format_counts(forecast['refused'])}")
    examples = output.table(("value", "enricher"), forecast["examples"], empty="")
    return [*map(output.cell, lines), examples]


@policies.command("apply")
def apply_policy(ctx: Context, policy: PolicyReference, *, days: Days = 1) -> None:
    """Ask now what a policy would have asked in the last days."""
    item = _resolve(ctx.obj, policy)
    result = ctx.obj.client.post("observables", f"{_PATH}/{item.id}/apply", days=days)
    ctx.obj.answer(result, output.cell(f"{item.name} sends {result['queries']:,} queries"))


def _resolve(context: CommandContext, reference: str) -> NamedItem:
    for policy in decode(list[NamedItem], context.client.get("observables", _PATH)):
        if reference in (policy.id, policy.name):
            return policy
    raise NotFound(f"there is no policy {reference!r} in the tenant {context.tenant}")

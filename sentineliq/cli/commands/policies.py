"""`sentineliq policies`: what is asked without anybody asking."""

from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, command
from shared.errors import NotFound

policies = typer.Typer(
    help="Policies: which observables are enriched by themselves.", no_args_is_help=True
)

ANY: Final = "any"
"""In place of a list's values: it restricts nothing."""

Reference = Annotated[str, typer.Argument(metavar="POLICY", help="Name or id.")]
Enrichers = Annotated[
    list[str] | None, typer.Option("--with", metavar="ENRICHER", help="Whom to ask; repeatable.")
]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="Only such observables; repeatable.")
]
Sources = Annotated[
    list[str] | None, typer.Option("--source", help="Only of this feed; repeatable.")
]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", help="With any of these tags; repeatable.")
]
MinScore = Annotated[int | None, typer.Option(min=0, max=100, help="From this score on.")]
Depth = Annotated[
    int | None,
    typer.Option(
        min=0, max=3, help="How many answers away new observables of answers are followed."
    ),
]
Daily = Annotated[int | None, typer.Option(min=0, help="Questions in a day (UTC).")]
Days = Annotated[int, typer.Option(min=1, max=7, help="How many days back.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(policies, name="policies")


@command(policies, "list")
def list_policies(context: CommandContext) -> None:
    """The tenant's policies, oldest first, and what they asked today."""
    found = context.client.get("observables", "/v1/enrichment-policies")
    columns = (
        "name",
        "enabled",
        "asks",
        "types",
        "sources",
        "tags",
        "score",
        "depth",
        "today",
        "over budget",
    )
    context.answer(
        found,
        output.table(
            columns, map(_row, found), empty="no policies yet: nothing is asked by itself"
        ),
    )


def _row(one: Json) -> tuple[Any, ...]:
    today = f"{one['asked_today']:,}" + (
        f" of {one['daily_budget']:,}" if one["daily_budget"] is not None else ""
    )
    lists = [one[name] or ANY for name in ("types", "sources", "tags")]
    about = one["name"], one["enabled"], one["enrichers"]
    return (
        *about,
        *lists,
        f"at least {one['min_score']}",
        one["depth"],
        today,
        one["over_budget_today"],
    )


@command(policies, "add")
def add(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    name: Annotated[str, typer.Argument()],
    *,
    with_: Annotated[
        list[str], typer.Option("--with", metavar="ENRICHER", help="Whom to ask; repeatable.")
    ],
    type_: Types = None,
    source: Sources = None,
    tag: Tags = None,
    min_score: MinScore = None,
    depth: Depth = None,
    daily: Daily = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do not make it; say what it would have asked.")
    ] = False,
    days: Days = 1,
) -> None:
    """Make a policy: what changes and matches all that is given is asked about. Try it with --dry-run first."""
    body = {"name": name, **_given(with_, type_, source, tag, min_score, depth, daily)}
    if dry_run:
        forecast = context.client.post(
            "observables", "/v1/enrichment-policies/dry-run", body, days=days
        )
        context.answer(forecast, *_forecast(name, forecast))
        return
    made = context.client.post("observables", "/v1/enrichment-policies", body)
    context.answer(made, output.details(made))


def _given(
    enrichers: list[str] | None,
    types: list[str] | None,
    sources: list[str] | None,
    tags: list[str] | None,
    min_score: int | None,
    depth: int | None,
    daily: int | None,
) -> Json:
    """The fields that were given; those that were not are not changed."""
    lists = {"enrichers": enrichers, "types": types, "sources": sources, "tags": tags}
    numbers = {"min_score": min_score, "depth": depth, "daily_budget": daily}
    return {
        **{key: [] if value == [ANY] else value for key, value in lists.items() if value},
        **{key: value for key, value in numbers.items() if value is not None},
    }


@command(policies, "change")
def change(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    policy: Reference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    enabled: Annotated[bool | None, typer.Option("--enable/--disable")] = None,
    with_: Enrichers = None,
    type_: Types = None,
    source: Sources = None,
    tag: Tags = None,
    min_score: MinScore = None,
    depth: Depth = None,
    daily: Daily = None,
    unlimited: Annotated[
        bool, typer.Option("--unlimited", help="Only the providers' own budgets count.")
    ] = False,
) -> None:
    """Change a policy; a list that is given replaces the one before, `any` empties it."""
    changes = _given(with_, type_, source, tag, min_score, depth, daily)
    changes |= {
        key: value for key, value in {"name": name, "enabled": enabled}.items() if value is not None
    }
    if unlimited:
        changes["daily_budget"] = None
    if not changes:
        raise typer.BadParameter("say what to change")
    found = _named(context, policy)
    changed = context.client.patch("observables", f"/v1/enrichment-policies/{found['id']}", changes)
    context.answer(changed, output.details(changed))


@command(policies, "delete")
def delete(context: CommandContext, policy: Reference) -> None:
    """Remove a policy; what it asked already is still asked."""
    found = _named(context, policy)
    context.client.delete("observables", f"/v1/enrichment-policies/{found['id']}")
    context.answer({"deleted": found["id"]}, output.cell(f"{found['name']} is deleted"))


@command(policies, "dry-run")
def dry_run(context: CommandContext, policy: Reference, *, days: Days = 1) -> None:
    """What a policy would have asked in the last days."""
    found = _named(context, policy)
    forecast = context.client.post(
        "observables", f"/v1/enrichment-policies/{found['id']}/dry-run", days=days
    )
    context.answer(forecast, *_forecast(found["name"], forecast))


def _forecast(name: str, forecast: Json) -> list[RenderableType]:
    days = "day" if forecast["days"] == 1 else f"{forecast['days']} days"
    head = f"{name} would have made {forecast['calls']:,} calls"
    lines = [f"{head}: {forecast['changes']:,} changes of observables in the last {days}"]
    if forecast["by_enricher"]:
        lines.append(f"by enricher: {output.counted(forecast['by_enricher'])}")
    if len(forecast["by_day"]) > 1:
        lines.append(
            "by day: "
            + ", ".join(f"{day} {count:,}" for day, count in sorted(forecast["by_day"].items()))
        )
    if forecast["over_budget"]:
        lines.append(f"over its budget: {forecast['over_budget']:,}")
    if forecast["refused"]:
        lines.append(f"not allowed: {output.counted(forecast['refused'])}")
    examples = output.table(("value", "enricher"), forecast["examples"], empty="")
    return [*map(output.cell, lines), examples]


@command(policies, "apply")
def apply(context: CommandContext, policy: Reference, *, days: Days = 1) -> None:
    """Ask now what a policy would have asked in the last days."""
    found = _named(context, policy)
    applied = context.client.post(
        "observables", f"/v1/enrichment-policies/{found['id']}/apply", days=days
    )
    context.answer(applied, output.cell(f"{found['name']} asks {applied['asked']:,} questions"))


def _named(context: CommandContext, reference: str) -> Json:
    found: list[Json] = context.client.get("observables", "/v1/enrichment-policies")
    one = next((one for one in found if reference in (one["id"], one["name"])), None)
    if one is None:
        raise NotFound(f"there is no policy {reference!r} in the tenant {context.tenant}")
    return one

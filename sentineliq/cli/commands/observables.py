"""`sentineliq lookup` and `sentineliq observables`: what is known."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, command
from shared.errors import NotFound

observables = typer.Typer(help="Observables: look up, list, count, explain.", no_args_is_help=True)

Type = Annotated[
    str | None,
    typer.Option("--type", help="For instance ipv4-addr, domain-name, url, file-sha256."),
]
Source = Annotated[str | None, typer.Option(help="Name or id of a feed: only what it asserts.")]
MinScore = Annotated[int | None, typer.Option(min=0, max=100)]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "lookup")(lookup)
    app.add_typer(observables, name="observables")


@command(observables, "lookup")
def lookup(
    context: CommandContext,
    values: Annotated[list[str], typer.Argument(metavar="VALUE...")],
    *,
    type_: Type = None,
) -> None:
    """What is known about values; types may be mixed, defanged forms are understood."""
    found = context.client.post("observables", "/v1/lookup", {"values": values, "type": type_})[
        "items"
    ]
    columns = ("value", "type", "score", "sources", "tags", "first seen", "last seen")
    context.answer(found, output.table(columns, map(_answer_row, found)))


def _answer_row(answer: Json) -> tuple[Any, ...]:
    known = answer["observable"]
    if known is None:
        return answer["value"], answer["problem"] or "unknown", None, None, None, None, None
    return (answer["value"], *_row(known)[1:])


def _row(known: Json) -> tuple[Any, ...]:
    sources = sorted({one["source"] for one in known["assertions"] if one["retracted_at"] is None})
    seen = output.moment(known["first_seen"]), output.moment(known["last_seen"])
    return known["value"], known["type"], known["score"], sources, known["tags"], *seen


@command(observables, "list")
def list_observables(
    context: CommandContext,
    *,
    type_: Type = None,
    source: Source = None,
    min_score: MinScore = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """Observables, in the order of their ids."""
    wanted = {"type": type_, "source": _source(context, source), "min_score": min_score}
    found = list(context.client.items("observables", "/v1/observables", most=limit, **wanted))
    columns = ("value", "type", "score", "sources", "tags", "first seen", "last seen")
    context.answer(found, output.table(columns, map(_row, found), empty="none"))


@command(observables, "count")
def count_observables(
    context: CommandContext,
    *,
    type_: Type = None,
    source: Source = None,
    min_score: MinScore = None,
) -> None:
    """How many observables there are."""
    wanted = {"type": type_, "source": _source(context, source), "min_score": min_score}
    count = context.client.get("observables", "/v1/observables/count", **wanted)
    context.answer(count, output.cell(f"{count['count']:,}"))


@command(observables, "explain")
def explain(
    context: CommandContext, value: Annotated[str, typer.Argument(help="A value, or a STIX id.")]
) -> None:
    """Why a score is what it is: the part of each source, sighting and enricher in it."""
    identity = value if "--" in value else _identity(context, value)
    found = context.client.get("observables", f"/v1/observables/{identity}/explain")
    columns = ("part", "name", "why", "left", "points")
    rows = [
        (one["kind"], one["name"], one["reason"], f"{one['left']:.0%}", f"{one['points']:+.1f}")
        for one in found["contributions"]
    ]
    head = output.cell(f"{found['value']} has the score {found['score']} ({found['verdict']}):")
    context.answer(found, head, output.table(columns, rows, empty="nobody asserts it now"))


def _identity(context: CommandContext, value: str) -> str:
    answer = context.client.post("observables", "/v1/lookup", {"values": [value]})["items"][0]
    if answer["observable"] is None:
        raise NotFound(answer["problem"] or f"nothing is known about {value}")
    return str(answer["observable"]["id"])


def _source(context: CommandContext, reference: str | None) -> str | None:
    return context.client.find("feeds", "/v1/feeds", reference)["id"] if reference else None

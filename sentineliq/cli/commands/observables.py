"""`sentineliq lookup` and `sentineliq observables`."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client
from sentineliq.cli.client.documents import ObservableSummary, ValueAnswer, decode
from sentineliq.cli.context import CommandGroup, Context
from shared.errors import NotFound

lookup = CommandGroup()
observables = CommandGroup("Observables: look up, list, count, explain.")

Type = Annotated[
    str | None,
    typer.Option("--type", help="The type, e.g. ipv4-addr, domain-name, url, file-sha256."),
]
Source = Annotated[
    str | None, typer.Option(help="Only observables that this feed asserts (name or id).")
]
MinScore = Annotated[
    int | None, typer.Option(min=0, max=100, help="Only observables with at least this score.")
]

_COLUMNS = ("value", "type", "score", "sources", "tags", "first seen", "last seen")


@lookup.command("lookup")
@observables.command("lookup")
def look_up(
    ctx: Context,
    values: Annotated[
        list[str],
        typer.Argument(
            metavar="VALUE", help="Types may be mixed, and defanged forms are understood."
        ),
    ],
    *,
    type_: Type = None,
) -> None:
    """Look up values."""
    body = {"values": values, "type": type_}
    documents = ctx.obj.client.post("observables", "/v1/lookup", body)["items"]
    results = decode(list[ValueAnswer], documents)
    ctx.obj.answer(documents, output.table(_COLUMNS, map(_result_row, results)))


def _result_row(result: ValueAnswer) -> tuple[Any, ...]:
    if result.observable is None:
        return (result.value, result.problem or "unknown", None, None, None, None, None)
    return (result.value, *_row(result.observable)[1:])


def _row(observable: ObservableSummary) -> tuple[Any, ...]:
    sources = {
        assertion.source for assertion in observable.assertions if assertion.retracted_at is None
    }
    return (
        observable.value,
        observable.type,
        observable.score,
        sorted(sources),
        observable.tags,
        output.format_time(observable.first_seen),
        output.format_time(observable.last_seen),
    )


@observables.command("list")
def list_observables(
    ctx: Context,
    *,
    type_: Type = None,
    source: Source = None,
    min_score: MinScore = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
) -> None:
    """List observables in the order of their ids."""
    client = ctx.obj.client
    documents = list(
        client.items(
            "observables",
            "/v1/observables",
            most=limit,
            type=type_,
            source=_source_id(client, source),
            min_score=min_score,
        )
    )
    rows = map(_row, decode(list[ObservableSummary], documents))
    ctx.obj.answer(documents, output.table(_COLUMNS, rows))


@observables.command("count")
def count_observables(
    ctx: Context, *, type_: Type = None, source: Source = None, min_score: MinScore = None
) -> None:
    """Count observables."""
    client = ctx.obj.client
    count = client.get(
        "observables",
        "/v1/observables/count",
        type=type_,
        source=_source_id(client, source),
        min_score=min_score,
    )
    ctx.obj.answer(count, output.cell(f"{count['count']:,}"))


@observables.command("explain")
def explain(
    ctx: Context, value: Annotated[str, typer.Argument(help="A value, or a STIX id.")]
) -> None:
    """Explain a score by the parts that it is made of.

    Each source, confirmation and enricher has a part in it.
    """
    client = ctx.obj.client
    identity = value if "--" in value else _observable_id(client, value)
    document = client.get("observables", f"/v1/observables/{identity}/explain")
    rows = [
        (
            contribution["kind"],
            contribution["name"],
            contribution["reason"],
            f"{contribution['left']:.0%}",
            f"{contribution['points']:+.1f}",
        )
        for contribution in document["contributions"]
    ]
    head = f"{document['value']} has the score {document['score']} ({document['verdict']}):"
    columns = ("part", "name", "why", "left", "points")
    contributions = output.table(columns, rows, empty="no source asserts it now")
    assessment = document.get("assessment")
    sentence = [] if assessment is None else [output.cell(_assessment(assessment))]
    ctx.obj.answer(document, output.cell(head), contributions, *sentence)


def _assessment(assessment: Mapping[str, Any]) -> str:
    """The three numbers and their sentence."""
    numbers = ", ".join(f"{name} {assessment[name]}" for name in _NUMBERS)
    return f"{assessment['sentence']} ({numbers})"


_NUMBERS = ("malicious", "active", "relevant")


def _observable_id(client: Client, value: str) -> str:
    document = client.post("observables", "/v1/lookup", {"values": [value]})["items"][0]
    result = decode(ValueAnswer, document)
    if result.observable is None:
        raise NotFound(result.problem or f"there is no observable {value}")
    return result.observable.id


def _source_id(client: Client, reference: str | None) -> str | None:
    return client.resolve("feeds", "/v1/feeds", reference).id if reference else None

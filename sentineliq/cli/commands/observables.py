"""`sentineliq observables`."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client import answers
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import ObservableSummary, decode
from sentineliq.cli.client.stored_values import resolve_id
from sentineliq.cli.commands.lookup import look_up
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import AsOf, Type
from shared.errors import NotFound

observables = CommandGroup("Observables: search, list, count, explain.")
observables.command("lookup")(look_up)

Source = Annotated[
    str | None, typer.Option(help="Only observables that this feed asserts (name or id).")
]
MinScore = Annotated[
    int | None, typer.Option(min=0, max=100, help="Only observables with at least this score.")
]
Tag = Annotated[
    str | None, typer.Option(help="Only observables with exactly this tag, also by its case.")
]
Prefix = Annotated[str | None, typer.Option(help="Only values that begin with this text.")]
Under = Annotated[
    str | None,
    typer.Option(
        help="Only what lies below this domain, network, URL or beginning of a hash, and itself."
    ),
]
Limit = Annotated[int, typer.Option(min=1, help="Show at most so many.")]
Value = Annotated[str, typer.Argument(metavar="VALUE|ID", help="A value, or a STIX id.")]

_COLUMNS: Final = ("value", "type", "score", "sources", "tags", "first seen", "last seen")
_RELATION_COLUMNS: Final = ("direction", "kind", "value", "type", "score", "last seen")
_SOURCE_COLUMNS: Final = ("name", "tenant", "observables", "reliability", "tlp", "id")
_QUALITY_COLUMNS: Final = (
    *("source", "type", "right_count", "wrong_count"),
    *("stated", "learned", "low", "high", "is_applied"),
)
_VALUE_COLUMNS: Final = (
    *("name", "observables", "unique", "unique_share", "first", "lead_seconds", "lag_seconds"),
    *("fresh_week", "harmless", "false_positives", "sightings", "yearly_cost", "cost_per_unique"),
)
_COPY_COLUMNS: Final = (
    "copier",
    "original",
    "probability",
    "shared",
    "containment",
    "expected",
    "mistakes",
)
_NUMBERS: Final = ("malicious", "active", "relevant")


def _row(observable: ObservableSummary) -> tuple[Any, ...]:
    return (
        observable.value,
        observable.type,
        observable.score,
        answers.sources(observable),
        observable.tags,
        output.format_time(observable.first_seen),
        output.format_time(observable.last_seen),
    )


@observables.command("search")
@observables.command("list")
def list_observables(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    *,
    type_: Type = None,
    source: Source = None,
    min_score: MinScore = None,
    tag: Tag = None,
    prefix: Prefix = None,
    under: Under = None,
    limit: Limit = 50,
) -> None:
    """List observables that meet all conditions, ordered by id."""
    client = ctx.obj.client
    documents = list(
        client.items(
            "observables",
            "/v1/observables",
            most=limit,
            type=type_,
            source=_source_id(client, source),
            min_score=min_score,
            tag=tag,
            prefix=prefix,
            under=under,
        )
    )
    rows = map(_row, decode(list[ObservableSummary], documents))
    empty = "no observable meets all conditions"
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty=empty))


@observables.command("count")
def count_observables(  # a command's parameters are its documentation
    ctx: Context,
    *,
    type_: Type = None,
    source: Source = None,
    min_score: MinScore = None,
    tag: Tag = None,
    prefix: Prefix = None,
    under: Under = None,
) -> None:
    """Count observables that meet all conditions."""
    client = ctx.obj.client
    count = client.get(
        "observables",
        "/v1/observables/count",
        type=type_,
        source=_source_id(client, source),
        min_score=min_score,
        tag=tag,
        prefix=prefix,
        under=under,
    )
    ctx.obj.answer(count, output.cell(f"{count['count']:,}"))


@observables.command("show")
def show_observable(ctx: Context, value: Value, *, as_of: AsOf = None) -> None:
    """Show all that is stored about an observable."""
    client = ctx.obj.client
    path = f"/v1/observables/{resolve_id(client, value)}"
    document = client.get("observables", path, as_of=as_of)
    ctx.obj.answer(document, output.details(document))


@observables.command("explain")
def explain(ctx: Context, value: Value, *, as_of: AsOf = None) -> None:
    """Explain a score by the parts that it is made of.

    Each source, confirmation and enricher has a part in it.
    """
    client = ctx.obj.client
    path = f"/v1/observables/{resolve_id(client, value)}/explain"
    document = client.get("observables", path, as_of=as_of)
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


@observables.command("relations")
def list_relations(
    ctx: Context,
    value: Value,
    *,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind, e.g. resolves-to or belongs-to.")
    ] = None,
    direction: Annotated[
        str | None, typer.Option(help="Only from the value (out), or only to it (in).")
    ] = None,
    limit: Limit = 50,
) -> None:
    """List how an observable relates to others, last seen first."""
    client = ctx.obj.client
    path = f"/v1/observables/{resolve_id(client, value)}/relations"
    documents = list(client.items("observables", path, most=limit, kind=kind, direction=direction))
    rows = map(_relation_row, documents)
    empty = "no relations are recorded"
    ctx.obj.answer(documents, output.table(_RELATION_COLUMNS, rows, empty=empty))


@observables.command("relation-counts")
def count_relations(ctx: Context, value: Value) -> None:
    """Count the relations of an observable by their kinds."""
    client = ctx.obj.client
    path = f"/v1/observables/{resolve_id(client, value)}/relations/counts"
    document = client.get("observables", path)
    rows = [(item["direction"], item["kind"], item["count"]) for item in document["items"]]
    counts = output.table(("direction", "kind", "count"), rows, empty="no relations are recorded")
    bound = [] if document["complete"] else ["There are more; the counts are too low."]
    ctx.obj.answer(document, counts, *bound)


def _relation_row(relation: Json) -> tuple[Any, ...]:
    other = relation["other"]
    return (
        relation["direction"],
        relation["kind"],
        other["value"],
        other["type"],
        other["score"],
        output.format_time(relation["last_seen"]),
    )


@observables.command("sources")
def list_sources(ctx: Context) -> None:
    """List the sources whose assertions this tenant sees."""
    documents = ctx.obj.client.get("observables", "/v1/sources")
    rows = [tuple(map(document.get, _SOURCE_COLUMNS)) for document in documents]
    empty = "no source has said anything yet"
    ctx.obj.answer(documents, output.table(_SOURCE_COLUMNS, rows, empty=empty))


@observables.command("values")
def report_values(ctx: Context) -> None:
    """Report what sources are worth.

    The table says what each alone lists, who is first, and what they cost.
    With --json: the overlap of each two sources as well.
    """
    report = ctx.obj.client.get("observables", "/v1/source-values")
    rows = [tuple(map(source.get, _VALUE_COLUMNS)) for source in report["sources"]]
    table = output.table(_VALUE_COLUMNS, rows, empty="no source has said anything yet")
    ctx.obj.answer(report, f"{table}\n{_cover_sentence(report)}")


@observables.command("cost")
def set_cost(
    ctx: Context,
    source: Annotated[str, typer.Argument(help="The source's name or id.")],
    amount: Annotated[float, typer.Argument(min=0, help="What it costs in a year.")],
    *,
    currency: Annotated[str, typer.Option(help="Of ISO 4217.")] = "EUR",
) -> None:
    """State what a source costs in a year."""
    sources = ctx.obj.client.get("observables", "/v1/sources")
    matches = [entry["id"] for entry in sources if source in (entry["id"], entry["name"])]
    if not matches:
        raise NotFound(f"There is no source {source}.")
    path = f"/v1/sources/{matches[0]}/cost"
    body = {"yearly_cost": amount, "currency": currency}
    document = ctx.obj.client.put("observables", path, body)
    ctx.obj.answer(document, output.details(document))


def _cover_sentence(report: Json) -> str:
    """How many sources list most of what all list."""
    cover = report["cover"]
    if not cover["sources"]:
        return "Nothing is listed."
    share = 100 * cover["reached"][-1] / report["observables"]
    names = ", ".join(cover["sources"])
    return f"{share:.1f} % of {report['observables']:,} observables are in: {names}"


@observables.command("copies")
def list_copies(ctx: Context) -> None:
    """List sources that probably copy others."""
    documents = ctx.obj.client.get("observables", "/v1/source-pairs")
    rows = [tuple(map(document.get, _COPY_COLUMNS)) for document in documents]
    empty = "no source copies another, as far as was measured"
    ctx.obj.answer(documents, output.table(_COPY_COLUMNS, rows, empty=empty))


@observables.command("quality")
def list_quality(ctx: Context) -> None:
    """List how far to rely on sources, by what came out.

    It compares what they listed with judgements of people and later evidence.
    """
    documents = ctx.obj.client.get("observables", "/v1/source-quality")
    rows = [tuple(map(document.get, _QUALITY_COLUMNS)) for document in documents]
    empty = "nothing has come out about the listings of any source"
    ctx.obj.answer(documents, output.table(_QUALITY_COLUMNS, rows, empty=empty))


@observables.command("learning")
def set_learning(
    ctx: Context,
    *,
    applied: Annotated[
        bool | None,
        typer.Option("--apply/--propose", help="Whether what is learned counts in scores."),
    ] = None,
) -> None:
    """Show or set whether learned reliability counts in scores."""
    client = ctx.obj.client
    path = "/v1/evidence-policy"
    if applied is None:
        document = client.get("observables", path)
    else:
        document = client.put("observables", path, {"applies_learning": applied})
    ctx.obj.answer(document, output.details(document))


def _assessment(assessment: Mapping[str, Any]) -> str:
    """The three numbers and their sentence."""
    numbers = ", ".join(f"{name} {assessment[name]}" for name in _NUMBERS)
    return f"{assessment['sentence']} ({numbers})"


def _source_id(client: Client, reference: str | None) -> str | None:
    return client.resolve("feeds", "/v1/feeds", reference).id if reference else None

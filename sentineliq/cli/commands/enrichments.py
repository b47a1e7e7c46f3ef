"""`sentineliq enrich` and `sentineliq enrichments`: ask the world about values."""

from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.follow_enrichment import EnrichmentFollower, outcome
from sentineliq.cli.context import CommandContext, command

enrichments = typer.Typer(
    help="Questions to providers: asked, waiting, answered.", no_args_is_help=True
)

MOST_VALUES: Final = 1000
_COLUMNS: Final = ("value", "enricher", "outcome", "facts")

Tlp = Annotated[
    str | None,
    typer.Option(help="A marking of the values: clear, green, amber, amber+strict or red."),
]
Wait = Annotated[
    bool,
    typer.Option("--wait/--no-wait", help="Until all have ended, or only until they are stored."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "enrich")(enrich)
    app.add_typer(enrichments, name="enrichments")


def enrich(
    context: CommandContext,
    values: Annotated[
        list[str], typer.Argument(metavar="VALUE...", help="Up to 1,000; types may be mixed.")
    ],
    *,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="ENRICHER",
            help="Whom to ask; all that can be when not given. Repeatable.",
        ),
    ] = None,
    tlp: Tlp = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask although there is a good answer already.")
    ] = False,
    wait: Wait = True,
) -> None:
    """Ask enrichers about values now, before all automatic work, and show what they know."""
    if len(values) > MOST_VALUES:
        raise typer.BadParameter(
            f"{len(values):,} values; {MOST_VALUES:,} may be asked about at once"
        )
    body = {"values": values, "enrichers": with_, "tlp": tlp, "fresh": fresh}
    request = context.client.post("observables", "/v1/enrichments", body)
    if wait:
        _finish(context, request)
        return
    EnrichmentFollower(context.client).tell(request)
    context.answer(
        request,
        output.cell(
            f"{request['open']:,} questions wait: sentineliq enrichments follow {request['id']}"
        ),
    )


@command(enrichments, "follow")
def follow(
    context: CommandContext, request: Annotated[str, typer.Argument(metavar="REQUEST", help="Id.")]
) -> None:
    """Wait for the end of a request that was made with --no-wait, and show what it brought."""
    _finish(context, context.client.get("observables", f"/v1/enrichments/{request}"))


def _finish(context: CommandContext, request: Json) -> None:
    """Follow a request to its end and show the facts; exit code 1 when nobody answered anything."""
    try:
        request = EnrichmentFollower(context.client).follow(request)
    except KeyboardInterrupt:
        output.say(
            f"what has not been asked yet still will be: sentineliq enrichments follow {request['id']}"
        )
        raise typer.Exit(130) from None
    jobs = request["jobs"]
    asked = list(dict.fromkeys(job["value"] for job in jobs))
    known = [one["observable"] for one in _lookup(context, asked) if one["observable"]]
    context.answer(
        {"request": request, "observables": known}, *_scores(known), _answers(jobs, known)
    )
    if jobs and all(job["state"] != "done" for job in jobs):
        raise typer.Exit(1)


def _lookup(context: CommandContext, values: list[str]) -> list[Json]:
    if not values:
        return []
    found: list[Json] = context.client.post("observables", "/v1/lookup", {"values": values})[
        "items"
    ]
    return found


def _scores(known: list[Json]) -> list[RenderableType]:
    return [
        output.cell(f"{one['value']} has the score {one['score']} ({one['verdict']})")
        for one in known
    ]


def _answers(jobs: list[Json], known: list[Json]) -> RenderableType:
    facts = {
        (one["value"], told["enricher"]): told["facts"]
        for one in known
        for told in one["enrichments"]
    }
    rows = []
    for job in jobs:
        # What only tried a key out, or was refused, left nothing behind.
        found = facts.get((job["value"], job["enricher"]), {}) if job["state"] == "done" else {}
        rows.append((job["value"], job["enricher"], outcome(job), described(found)))
    return output.table(_COLUMNS, rows, empty="there is no enricher that can be asked about this")


def described(facts: Json) -> str | None:
    """Facts in words: `ports: 22, 80; tags: cloud`."""
    return "; ".join(f"{name}: {_words(value)}" for name, value in facts.items()) or None


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


@command(enrichments, "list")
def list_enrichments(
    context: CommandContext,
    *,
    state: Annotated[
        str | None, typer.Option(help="waiting, running, done, refused, failed or cancelled.")
    ] = None,
    enricher: Annotated[str | None, typer.Option(help="Only to this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
) -> None:
    """The tenant's questions, newest first, with estimates for those that wait."""
    found = list(
        context.client.items(
            "observables", "/v1/enrichment-jobs", most=limit, state=state, enricher=enricher
        )
    )
    columns = ("asked", "value", "enricher", "state", "outcome", "attempts", "by", "estimate", "id")
    context.answer(
        found, output.table(columns, map(_row, found), empty="there is no such question")
    )


def _row(job: Json) -> tuple[Any, ...]:
    told = outcome(job) if job["state"] == "done" else job["reason"] and job["reason"]["message"]
    asked, estimate = output.moment(job["created_at"]), output.moment(job["estimate"])
    about = job["value"], job["enricher"], job["state"]
    return asked, *about, told, job["attempts"], job["requested_by"], estimate, job["id"]


@command(enrichments, "cancel")
def cancel(
    context: CommandContext,
    ids: Annotated[list[str] | None, typer.Argument(metavar="[QUESTION]...", help="Ids.")] = None,
    *,
    enricher: Annotated[str | None, typer.Option(help="All that wait for this one.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
) -> None:
    """Take back questions that wait; those under way come to their end."""
    if not (ids or enricher or everything):
        raise typer.BadParameter("say which: ids, --enricher or --all")
    body = {"ids": ids or None, "enricher": enricher}
    done = context.client.post("observables", "/v1/enrichment-jobs/cancel", body)
    context.answer(done, output.cell(f"{done['cancelled']:,} questions are taken back"))

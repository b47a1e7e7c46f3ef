"""`sentineliq enrich` and `sentineliq enrichments`."""

from typing import Annotated, Any, Final

import typer
from rich.console import RenderableType

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import (
    EnrichmentJob,
    FollowedRequest,
    ObservableSummary,
    decode,
)
from sentineliq.cli.client.follow_enrichment import EnrichmentFollower, job_outcome
from sentineliq.cli.client.stored_values import resolve_id
from sentineliq.cli.client.value_input import read_values
from sentineliq.cli.context import CommandContext, CommandGroup, Context

enrich = CommandGroup()
enrichments = CommandGroup("Enrichment jobs: follow, list, cancel.")

MAX_VALUES: Final = 1000
_RESULT_COLUMNS: Final = ("value", "enricher", "outcome", "facts")
_JOB_COLUMNS: Final = (
    "requested",
    "value",
    "enricher",
    "state",
    "outcome",
    "attempts",
    "by",
    "estimate",
    "id",
)


@enrich.command("enrich")
def enrich_values(
    ctx: Context,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VALUE]...",
            help="Up to 1,000; types may be mixed. `-`, or none, reads them from standard input.",
        ),
    ] = None,
    *,
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="ENRICHER",
            help="Ask this enricher; you may repeat this option. By default all are asked.",
        ),
    ] = None,
    tlp: Annotated[
        str | None,
        typer.Option(help="Mark the values: clear, green, amber, amber+strict or red."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask even where there is a recent answer.")
    ] = False,
    playbook: Annotated[
        bool,
        typer.Option("--playbook", help="An automation asks: people come first."),
    ] = False,
    wait: Annotated[
        bool,
        typer.Option("--wait/--no-wait", help="Wait for the answers, or return at once."),
    ] = True,
) -> None:
    """Ask enrichers about values and show their answers.

    Your request runs before all automatic work.
    """
    listed = read_values(values or ())
    if len(listed) > MAX_VALUES:
        raise typer.BadParameter(f"{len(listed):,} values; at most {MAX_VALUES:,} are allowed")
    body = {
        "values": listed,
        "enrichers": with_,
        "tlp": tlp,
        "fresh": fresh,
        "playbook": playbook,
    }
    document = ctx.obj.client.post("observables", "/v1/enrichments", body)
    if wait:
        _follow_and_answer(ctx.obj, document)
        return
    EnrichmentFollower(ctx.obj.client).report(document)
    request = decode(FollowedRequest, document)
    hint = f"{request.open:,} queries wait: sentineliq enrichments follow {request.id}"
    ctx.obj.answer(document, output.cell(hint))


@enrichments.command("follow")
def follow_request(
    ctx: Context,
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The request's id.")],
) -> None:
    """Wait for a request and show its answers.

    Use it after `sentineliq enrich --no-wait`.
    """
    document = ctx.obj.client.get("observables", f"/v1/enrichments/{request}")
    _follow_and_answer(ctx.obj, document)


def _follow_and_answer(context: CommandContext, document: Json) -> None:
    """Follow a request to its end and show the facts; exit code 1 when no enricher answered."""
    try:
        document = EnrichmentFollower(context.client).follow(document)
    except KeyboardInterrupt:
        hint = f"sentineliq enrichments follow {document['id']}"
        output.print_note(f"the remaining queries are still sent: {hint}")
        raise typer.Exit(130) from None
    jobs = decode(FollowedRequest, document).jobs
    documents = _look_up(context.client, list(dict.fromkeys(job.value for job in jobs)))
    observables = decode(list[ObservableSummary], documents)
    context.answer(
        {"request": document, "observables": documents},
        *[output.cell(_score_line(observable)) for observable in observables],
        _results(jobs, observables),
    )
    if jobs and all(job.state != "done" for job in jobs):
        raise typer.Exit(1)


def _look_up(client: Client, values: list[str]) -> list[Json]:
    """The observables of those values that have one."""
    if not values:
        return []
    items = client.post("observables", "/v1/lookup", {"values": values})["items"]
    return [item["observable"] for item in items if item["observable"]]


def _score_line(observable: ObservableSummary) -> str:
    return f"{observable.value} has the score {observable.score} ({observable.verdict})"


def _results(jobs: list[EnrichmentJob], observables: list[ObservableSummary]) -> RenderableType:
    facts = {
        (observable.value, answer.enricher): answer.facts
        for observable in observables
        for answer in observable.enrichments
    }
    rows = []
    for job in jobs:
        # A job that only tested a key, or was refused, stored no facts.
        job_facts = facts.get((job.value, job.enricher), {}) if job.state == "done" else {}
        rows.append((job.value, job.enricher, job_outcome(job), format_facts(job_facts)))
    empty = "no enricher answers queries about this"
    return output.table(_RESULT_COLUMNS, rows, empty=empty)


def format_facts(facts: Json) -> str | None:
    """Facts as text: `ports: 22, 80; tags: cloud`."""
    pairs = []
    for name, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        pairs.append(f"{name}: {text}")
    return "; ".join(pairs) or None


@enrichments.command("list")
def list_enrichments(
    ctx: Context,
    *,
    state: Annotated[
        str | None,
        typer.Option(help="Only jobs that are waiting, running, done, refused, failed, cancelled."),
    ] = None,
    enricher: Annotated[str | None, typer.Option(help="Only jobs of this enricher.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
) -> None:
    """List the tenant's jobs, the newest first.

    For those that wait it shows when they will probably have been answered.
    """
    jobs = list(
        ctx.obj.client.items(
            "observables", "/v1/enrichment-jobs", most=limit, state=state, enricher=enricher
        )
    )
    ctx.obj.answer(jobs, output.table(_JOB_COLUMNS, map(_job_row, jobs), empty="no such job"))


def _job_row(document: Json) -> tuple[Any, ...]:
    job = decode(EnrichmentJob, document)
    reason = job.reason.message if job.reason else None
    return (
        output.format_time(document["created_at"]),
        job.value,
        job.enricher,
        job.state,
        job_outcome(job) if job.state == "done" else reason,
        job.attempts,
        document["requested_by"],
        output.format_time(job.estimate),
        job.id,
    )


@enrichments.command("raw")
def show_raw_answer(
    ctx: Context,
    value: Annotated[str, typer.Argument(metavar="VALUE|ID", help="A value, or a STIX id.")],
    enricher: Annotated[str, typer.Argument(metavar="ENRICHER", help="Whose answer it is.")],
) -> None:
    """Print what a provider sent about a value.

    It is kept for 30 days.
    """
    client = ctx.obj.client
    path = f"/v1/observables/{resolve_id(client, value)}/enrichments/{enricher}/raw"
    content = client.download("observables", path)
    typer.echo(content.decode("utf-8", "replace"))


@enrichments.command("cancel")
def cancel_jobs(
    ctx: Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="QUESTION", help="The jobs' ids.")
    ] = None,
    *,
    enricher: Annotated[
        str | None, typer.Option(help="Cancel all that wait for this enricher.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="Cancel all that wait.")] = False,
) -> None:
    """Cancel jobs that wait; those that run come to their end."""
    if not (ids or enricher or all_):
        raise typer.BadParameter("name the jobs by id, --enricher or --all")
    body = {"ids": ids or None, "enricher": enricher}
    result = ctx.obj.client.post("observables", "/v1/enrichment-jobs/cancel", body)
    ctx.obj.answer(result, output.cell(f"{result['cancelled']:,} queries are cancelled"))

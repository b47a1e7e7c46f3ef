"""`sentineliq feeds run|runs|confirm|resync`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.documents import FeedRun, RunCounts, decode, with_choices
from sentineliq.cli.client.follow_run import follow_run
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import FeedReference

run_commands = CommandGroup()

_COLUMNS = (
    "queued",
    "feed",
    "state",
    "taken",
    "left out",
    "account",
    "published",
    "applied",
    "difference",
    "seconds",
    "by",
    "error",
)


@run_commands.command("run")
def run_feed(ctx: Context, feed: FeedReference) -> None:
    """Fetch a feed now and wait until all of it is stored."""
    _start_and_follow(ctx.obj, feed, "runs")


@run_commands.command("confirm")
def confirm_feed(ctx: Context, feed: FeedReference) -> None:
    """Accept a list that was held back.

    It was held back because it lost more than half of its entries.
    """
    _start_and_follow(ctx.obj, feed, "confirm")


@run_commands.command("resync")
def resync_feed(ctx: Context, feed: FeedReference) -> None:
    """Let a feed say everything again and wait until it is stored.

    What it asserted before and does not list now is taken back.
    """
    _start_and_follow(ctx.obj, feed, "resync")


def _start_and_follow(context: CommandContext, feed: str, action: str) -> None:
    client = context.client
    item = client.resolve("feeds", "/v1/feeds", feed)
    outcome = follow_run(client, client.post("feeds", f"/v1/feeds/{item.id}/{action}"))
    context.answer(outcome.as_dict(), output.cell(outcome.line()))


@run_commands.command("runs")
def list_runs(
    ctx: Context,
    feed: Annotated[
        str | None,
        typer.Argument(metavar="FEED", help="The feed's name or id; by default all feeds."),
    ] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
) -> None:
    """List the last runs, the newest first."""
    client = ctx.obj.client
    feed_id = client.resolve("feeds", "/v1/feeds", feed).id if feed else None
    documents = client.get("feeds", "/v1/runs", feed=feed_id, limit=limit)["items"]
    runs = decode(list[FeedRun], documents)
    table = output.table(_COLUMNS, map(_row, runs), empty="no runs yet")
    ctx.obj.answer(documents, table, *map(output.cell, _choices(runs)))


def _choices(runs: list[FeedRun]) -> list[str]:
    """What settles the doubt of the newest run of each feed, if a doubt has ended it."""
    newest: dict[str, FeedRun] = {}
    for run in runs:
        newest.setdefault(run.feed, run)
    return [
        with_choices(f"{run.feed}: {run.error.line()}", run.error.alternatives)
        for run in newest.values()
        if run.error is not None and run.error.alternatives
    ]


def _row(run: FeedRun) -> tuple[Any, ...]:
    report = run.report or RunCounts()
    return (
        output.format_time(run.queued_at),
        run.feed,
        run.state,
        report.observables if run.report else None,
        output.format_counts(report.dropped) or None,
        report.account.line() if report.account else None,
        run.published,
        run.applied,
        run.difference or None,
        report.seconds,
        run.requested_by,
        run.error.line() if run.error else None,
    )

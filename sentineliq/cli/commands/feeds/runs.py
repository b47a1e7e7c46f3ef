"""`sentineliq feeds run|follow|runs|confirm|resync`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.documents import FeedRun, RunCounts, decode, with_choices
from sentineliq.cli.commands.feeds.following import Wait, show_run
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
    "id",
)

_AMENDMENTS = {"retraction": "take-back", "restoration": "restored"}


@run_commands.command("run")
def run_feed(ctx: Context, feed: FeedReference, *, wait: Wait = None) -> None:
    """Fetch a feed now.

    When the attempt fails, the answer says why and when it is tried again.
    """
    _start_and_follow(ctx.obj, feed, "runs", wait=wait)


@run_commands.command("follow")
def follow(
    ctx: Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    *,
    wait: Wait = True,
) -> None:
    """Wait for a run and show what came of it."""
    show_run(ctx.obj, ctx.obj.client.get("feeds", f"/v1/runs/{run}"), wait=wait)


@run_commands.command("confirm")
def confirm_feed(ctx: Context, feed: FeedReference) -> None:
    """Accept a list that was held back.

    It was held back because it lost more than half of its entries.
    """
    _start_and_follow(ctx.obj, feed, "confirm", wait=True)


@run_commands.command("resync")
def resync_feed(ctx: Context, feed: FeedReference) -> None:
    """Let a feed say everything again and wait until it is stored.

    What it asserted before and does not list now is taken back.
    """
    _start_and_follow(ctx.obj, feed, "resync", wait=True)


def _start_and_follow(
    context: CommandContext, feed: str, action: str, *, wait: bool | None
) -> None:
    client = context.client
    item = client.resolve("feeds", "/v1/feeds", feed)
    show_run(context, client.post("feeds", f"/v1/feeds/{item.id}/{action}"), wait=wait)


@run_commands.command("runs")
def list_runs(
    ctx: Context,
    feed: Annotated[
        str | None,
        typer.Argument(metavar="FEED", help="The feed's name or id; by default all feeds."),
    ] = None,
    *,
    before: Annotated[
        str | None,
        typer.Option(help="Only runs that were queued before this time, 2026-11-30T08:00:00Z."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
) -> None:
    """List the last runs, the newest first."""
    client = ctx.obj.client
    feed_id = client.resolve("feeds", "/v1/feeds", feed).id if feed else None
    documents = list(client.items("feeds", "/v1/runs", most=limit, feed=feed_id, before=before))
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
        f"{run.state} ({_AMENDMENTS[run.input]})" if run.amendment else run.state,
        report.observables if run.report else None,
        output.format_counts(report.dropped) or None,
        report.account.line() if report.account else None,
        run.published,
        run.applied,
        run.difference or None,
        report.seconds,
        run.requested_by,
        run.error.line() if run.error else None,
        run.id,
    )

"""`sentineliq dead`."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.dead_letters import (
    DeadLetter,
    dead_letters,
    resend_letters,
    select_letters,
)
from sentineliq.cli.client.kafka_reader import require_topic
from sentineliq.cli.context import CommandGroup, Context
from shared.settings import Settings

dead = CommandGroup("Dead letters: records that no consumer could handle.")

Topic = Annotated[
    str | None, typer.Option(help="Only letters of this topic, e.g. feeds.observed.v1.")
]

_RECORDED_AT_ONCE = 500
_COLUMNS = ("id", "buried", "tenant", "was at", "reason", "sent again")


@dead.command("list")
def list_letters(
    ctx: Context,
    *,
    topic: Topic = None,
    all_: Annotated[bool, typer.Option("--all", help="Also letters that were sent again.")] = False,
) -> None:
    """List the dead letters that were not sent again yet."""
    if topic:
        require_topic(topic)
    letters = asyncio.run(dead_letters(ctx.obj.settings, topic))
    summaries = [letter.summary() for letter in letters if all_ or letter.retried_at is None]
    rows = [
        (
            summary["id"],
            output.format_time(summary["buried_at"]),
            summary["tenant"],
            summary["origin"],
            summary["reason"],
            summary["retried_at"],
        )
        for summary in summaries
    ]
    ctx.obj.answer(summaries, output.table(_COLUMNS, rows, empty="no dead letters"))


@dead.command("show")
def show_letter(
    ctx: Context, letter: Annotated[str, typer.Argument(metavar="ID", help="The letter's id.")]
) -> None:
    """Show a dead letter: its reason, headers and payload."""
    (selected,) = asyncio.run(select_letters(ctx.obj.settings, [letter]))
    data = selected.as_dict()
    ctx.obj.answer(data, output.details(data))


@dead.command("retry")
def retry_letters(
    ctx: Context,
    ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID", help="The letters' ids, as `dead list` shows them."),
    ] = None,
    *,
    all_: Annotated[
        bool, typer.Option("--all", help="Send all letters that were not sent again yet.")
    ] = False,
    topic: Topic = None,
    vouch: Annotated[
        bool,
        typer.Option(
            "--vouch",
            help="Sign them yourself: records that no service has signed are refused again "
            "without it. Look at each first.",
        ),
    ] = False,
) -> None:
    """Send dead letters again to where they came from.

    They are sent with their own key, bytes and headers; --vouch replaces the signature. The audit
    of the scheduler service tells that you did so.
    """
    if bool(ids) == (all_ or topic is not None):
        raise typer.BadParameter("name letters, or use --all (you may add --topic)")
    letters = asyncio.run(_select(ctx.obj.settings, ids or [], topic))
    for start in range(0, len(letters), _RECORDED_AT_ONCE):
        names = [letter.id for letter in letters[start : start + _RECORDED_AT_ONCE]]
        retries = {"letters": names} | ({"vouches": True} if vouch else {})
        ctx.obj.client.post("scheduler", "/v1/consumers/retries", retries)
    asyncio.run(resend_letters(ctx.obj.settings, letters, vouches=vouch))
    lines = [
        f"{letter.id} was sent again to {letter.record.topic.removesuffix('.dead')}"
        for letter in letters
    ]
    sent = {"sent": [letter.id for letter in letters]}
    ctx.obj.answer(sent, *map(output.cell, lines or ["there was nothing to send"]))


async def _select(settings: Settings, ids: Sequence[str], topic: str | None) -> list[DeadLetter]:
    if ids:
        return await select_letters(settings, ids)
    listed = await dead_letters(settings, topic)
    return [letter for letter in listed if letter.retried_at is None and letter.cut is None]

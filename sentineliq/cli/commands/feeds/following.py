"""How commands of feeds wait for a run that they have started."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.follow_run import (
    RunOutcome,
    RunUnfinished,
    follow_attempt,
    follow_run,
)
from sentineliq.cli.context import UNFINISHED, CommandContext

Wait = Annotated[
    bool | None,
    typer.Option(
        "--wait/--no-wait",
        help="Wait until all of it is stored, however long it takes; or return at once. By default "
        "the command waits for one attempt, four seconds at most.",
    ),
]


def show_run(
    context: CommandContext, run: Json, *, wait: bool | None, beside: Json | None = None
) -> None:
    """Show what comes of a run, after waiting as long as the person wants to.

    Args:
        context: of the command.
        run: as it was requested.
        wait: to its end; without waiting; None: for one attempt, some seconds at most.
        beside: what programs get beside the run.

    Raises:
        Exit: with 3, the run is not at its end.
        RunFailed: it failed.
    """
    more = beside or {}
    if wait is False:
        line = (
            f"{run['feed']} is {run['state']}; `sentineliq feeds follow {run['id']}` waits for it"
        )
        context.answer({**more, "run": run}, output.cell(line))
        return
    try:
        outcome = _outcome(context.client, run, to_end=bool(wait))
    except RunUnfinished as unfinished:
        if context.as_json:
            current = context.client.get("feeds", f"/v1/runs/{run['id']}")
            output.print_json({**more, "run": current})
        output.print_note(unfinished.message)
        raise typer.Exit(UNFINISHED) from None
    except KeyboardInterrupt:
        hint = f"`sentineliq feeds follow {run['id']}` waits for it"
        output.print_note(f"the run goes on; {hint}")
        raise typer.Exit(130) from None
    context.answer({**more, **outcome.as_dict()}, output.cell(outcome.line()))


def _outcome(client: Client, run: Json, *, to_end: bool) -> RunOutcome:
    if to_end:
        return follow_run(client, run)
    return follow_attempt(client, run)

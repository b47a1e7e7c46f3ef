"""`sentineliq doctor`: why does it not run, and what to do next."""

from typing import Annotated

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.context import CommandContext, command

_STYLES = {"ok": "green", "look": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor")(doctor)


def doctor(
    context: CommandContext,
    *,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What keeps one task from running, e.g. feeds.tasks.run_feed."
        ),
    ] = None,
) -> None:
    """Look at every part and say what is wrong and what to do; exit code 1 when something is."""
    from sentineliq.cli.doctor import checklist  # noqa: PLC0415  # brings Celery and Alembic, which no other command needs

    found = list(
        checklist.examine(context) if task is None else checklist.examine_task(context, task)
    )
    rows = [
        (Text(one.status, style=_STYLES[one.status]), one.subject, one.seen, one.step)
        for one in found
    ]
    context.answer(
        [one.as_dict() for one in found], output.table(("", "what", "seen", "next step"), rows)
    )
    if any(one.status == "problem" for one in found):
        raise typer.Exit(1)

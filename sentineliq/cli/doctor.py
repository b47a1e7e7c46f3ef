"""`sentineliq doctor`: why does it not run, and what to do next."""

from typing import Annotated

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.front import Front, command

_STYLES = {"ok": "green", "look": "yellow", "problem": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "doctor")(doctor)


def doctor(
    front: Front,
    *,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="What keeps one task from running, e.g. feeds.tasks.run_feed."
        ),
    ] = None,
) -> None:
    """Look at every part and say what is wrong and what to do; exit code 1 when something is."""
    from sentineliq.cli import examining  # noqa: PLC0415  # brings Celery and Alembic, which no other command needs

    found = list(examining.examine(front) if task is None else examining.examine_task(front, task))
    rows = [
        (Text(one.status, style=_STYLES[one.status]), one.subject, one.seen, one.step)
        for one in found
    ]
    front.answer(
        [one.as_dict() for one in found], output.table(("", "what", "seen", "next step"), rows)
    )
    if any(one.status == "problem" for one in found):
        raise typer.Exit(1)

"""`sentineliq doctor`."""

from typing import Annotated

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.doctor.checklist import check_installation, check_task

doctor = CommandGroup()

_STYLES = {"ok": "green", "look": "yellow", "problem": "bold red"}


@doctor.command("doctor")
def run_checks(
    ctx: Context,
    *,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Find out why this task does not run, e.g. feeds.tasks.run_feed."
        ),
    ] = None,
) -> None:
    """Check every component and say what to do next.

    The exit code is 1 when there is a problem.
    """
    checks = check_installation(ctx.obj) if task is None else check_task(ctx.obj, task)
    rows = [
        (Text(check.status, style=_STYLES[check.status]), check.subject, check.seen, check.step)
        for check in checks
    ]
    ctx.obj.answer(
        [check.as_dict() for check in checks],
        output.table(("", "what", "seen", "next step"), rows),
    )
    if any(check.status == "problem" for check in checks):
        raise typer.Exit(1)

"""`sentineliq demo`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.context import AsJson, CommandGroup, ReportingCommand
from sentineliq.cli.onboarding.demo import run_demo
from sentineliq.cli.progress import ProgressLines

demo = CommandGroup()


@demo.command("demo", cls=ReportingCommand)
def show_demo(
    *,
    as_json: AsJson = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every line that the processes write.")
    ] = False,
) -> None:
    """Show the whole way once: feeds, scores, ATT&CK, a webhook.

    It works on a temporary folder and ends by itself.
    """
    progress = ProgressLines(output.make_console(to_stderr=as_json), verbose=verbose)
    summary = run_demo(progress)
    if as_json:
        output.print_json(summary)
    else:
        output.show(output.details(summary))

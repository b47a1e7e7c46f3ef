"""`sentineliq up`."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Final

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.context import (
    DEFAULT_DATA_DIR,
    DEFAULT_TENANT,
    CommandGroup,
    DataDir,
    ReportingCommand,
)
from sentineliq.cli.onboarding.first_link import MINUTES, link_for_first_start
from sentineliq.cli.onboarding.starter_setup import StarterResult, StarterSetup
from sentineliq.cli.progress import ProgressLines, running_stack
from sentineliq.local.flower import LOGIN_FILE
from sentineliq.local.ports import Ports
from sentineliq.local.server import LOOPBACK
from sentineliq.local.stack import Stack
from sentineliq.starter import load_starter
from shared.errors import SentinelIQError
from shared.runtime.process_title import set_process_title

up = CommandGroup()

_EXAMPLE_VALUE: Final = "198.51.100.7"


@up.command("up", cls=ReportingCommand)
def start_stack(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port_base: Annotated[
        int | None, typer.Option(help="Use consecutive ports, beginning with this one.")
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART=PORT",
            help="Move one component, e.g. feeds=9001; you may repeat this option.",
        ),
    ] = None,
    no_starter: Annotated[
        bool, typer.Option("--no-starter", help="Start without the starter's feeds and rule.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print every line that the processes write.")
    ] = False,
) -> None:
    """Start everything on this machine; Ctrl-C stops it.

    It stays in the foreground. Starting again continues with the same data.
    """
    set_process_title("local", "supervisor")
    progress = ProgressLines(output.make_console(), verbose=verbose)
    progress.line("SentinelIQ", f"starting in {data_dir.absolute()}")
    ports = choose_ports(port_base, port or [])
    stack = Stack(data_dir, ports, on_line=progress.on_line, on_state=progress.on_state)
    try:
        _run(stack, progress, with_starter=not no_starter)
    except KeyboardInterrupt:
        progress.line("SentinelIQ", "stopped")


def _run(stack: Stack, progress: ProgressLines, *, with_starter: bool) -> None:
    interrupted_at = None
    try:
        with running_stack(stack, progress):
            progress.line("SentinelIQ", f"ready after {progress.seconds:.1f} s", "bold green")
            try:
                result = _set_up(stack.environment, progress) if with_starter else None
                _print_next_steps(stack, result)
                _print_first_link(stack, progress)
                stack.wait()
            except KeyboardInterrupt:
                interrupted_at = time.monotonic()
                text = "stopping; Ctrl-C again ends everything at once"
                progress.line("SentinelIQ", text)
                raise
    finally:
        if interrupted_at is not None:
            seconds = time.monotonic() - interrupted_at
            text = f"every process has ended, {seconds:.1f} s after Ctrl-C"
            progress.line("SentinelIQ", text)


def _set_up(environment: Mapping[str, str], progress: ProgressLines) -> StarterResult | None:
    """Set up the starter; when that fails the stack runs without it."""
    try:
        with StarterSetup(environment, load_starter(), progress) as setup:
            return setup.run()
    except SentinelIQError as error:
        progress.line("starter", f"{error.message}; the stack runs without it", "yellow")
        return None


def _print_first_link(stack: Stack, progress: ProgressLines) -> None:
    """Print how the first person signs in, as long as there is nobody."""
    try:
        link = link_for_first_start(stack.environment, DEFAULT_TENANT)
    except SentinelIQError as error:
        progress.line("gateway", f"{error.message}; `sentineliq gateway first-link`", "yellow")
        return
    if link is not None:
        output.show(
            Text(f"\nsign in the first time, within {MINUTES} minutes:", style="bold"),
            Text(f"  {link}"),
        )


def choose_ports(base: int | None, moves: list[str]) -> Ports:
    """The ports that the options ask for.

    Raises:
        typer.BadParameter: a component is unknown or its port is no number.
        StackError: the base is out of range.
    """
    ports = Ports() if base is None else Ports.from_base(base)
    for move in moves:
        component, _, number = move.partition("=")
        if component not in Ports.names() or not number.isdigit():
            names = ", ".join(Ports.names())
            raise typer.BadParameter(f"{move!r}: give PART=PORT; the parts are {names}")
        ports = replace(ports, **{component: int(number)})
    return ports


def _print_next_steps(stack: Stack, result: StarterResult | None) -> None:
    """Print the addresses, and what to try next."""
    environment = stack.environment
    gateway = environment["SENTINELIQ_GATEWAY_URL"]
    rows = [
        ("SentinelIQ", f"{gateway}"),
        ("documentation of all APIs", f"{gateway}/docs"),
        ("workers and tasks", f"http://{LOOPBACK}:{stack.ports.flower}/flower"),
        ("  their login", str(stack.data_dir / LOGIN_FILE)),
    ]
    is_default = stack.data_dir == DEFAULT_DATA_DIR.absolute()
    folder = "" if is_default else f" --data-dir {stack.data_dir}"
    value = result.best.value if result and result.best else _EXAMPLE_VALUE
    output.show(
        output.table(("one address for all", ""), rows),
        Text("a token for the APIs:", style="bold"),
        Text(f"  sentineliq tokens create --role analyst{folder}"),
        Text("\ntry next, in another terminal:", style="bold"),
        Text(f"  sentineliq lookup {value}{folder}"),
        Text(f"  sentineliq ingest FILE_OR_URL{folder}"),
        Text(f"  sentineliq mitre search powershell{folder}"),
        Text(f"  sentineliq doctor{folder}"),
        Text("\nCtrl-C stops everything.", style="bold"),
    )

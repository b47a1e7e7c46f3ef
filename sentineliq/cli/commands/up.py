"""`sentineliq up` and `sentineliq demo`: everything on this machine."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Final

import typer
from pydantic import SecretStr
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.client.api import actor
from sentineliq.cli.context import DEFAULT_DATA_DIR, AsJson, DataDir, reported_errors
from sentineliq.cli.onboarding.demo import run_demo
from sentineliq.cli.onboarding.starter_setup import StarterResult, StarterSetup
from sentineliq.cli.progress import ProgressLines
from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from sentineliq.starter import load_starter
from shared.auth import issue_token
from shared.errors import SentinelIQError
from shared.settings import SERVICES

TOKEN_LIFETIME: Final = timedelta(days=30)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("demo")(demo)


def up(
    *,
    data_dir: DataDir = DEFAULT_DATA_DIR,
    port_base: Annotated[
        int | None, typer.Option(help="Put all parts on consecutive ports from here on.")
    ] = None,
    port: Annotated[
        list[str] | None,
        typer.Option(metavar="PART=PORT", help="Move one part, e.g. feeds=9001; may be repeated."),
    ] = None,
    no_starter: Annotated[bool, typer.Option("--no-starter", help="Begin empty.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every line the processes write.")
    ] = False,
) -> None:
    """Start everything on this machine and stay in the foreground; Ctrl-C stops it. Starting again continues."""
    progress = ProgressLines(output.console(), verbose=verbose)
    progress.line("SentinelIQ", f"starting in {data_dir.absolute()}")
    with reported_errors():
        ports = choose_ports(port_base, port or [])
        stack = Stack(data_dir, ports, on_line=progress.on_line, on_state=progress.on_state)
        try:
            _run(stack, progress, starter=not no_starter)
        except KeyboardInterrupt:
            progress.line("SentinelIQ", "stopped")


def _run(stack: Stack, progress: ProgressLines, *, starter: bool) -> None:
    running = stack.running()
    with progress.waiting():
        running.__enter__()
    stopping = 0.0
    try:
        progress.line("SentinelIQ", f"ready after {progress.seconds:.1f} s", "bold green")
        news = _welcome(stack.environment, progress) if starter else None
        _farewell(stack, news)
        stack.wait()
    except KeyboardInterrupt:
        stopping = time.monotonic()
        progress.line("SentinelIQ", "stopping; Ctrl-C again ends everything at once")
        raise
    finally:
        progress.mute()
        running.__exit__(None, None, None)
        if stopping:
            progress.line(
                "SentinelIQ",
                f"every process has ended, {time.monotonic() - stopping:.1f} s after Ctrl-C",
            )


def _welcome(environment: Mapping[str, str], progress: ProgressLines) -> StarterResult | None:
    """The starter's story; when it cannot be told the stack is still of use."""
    try:
        with StarterSetup(environment, load_starter(), progress) as welcome:
            return welcome.tell()
    except SentinelIQError as error:
        progress.line("starter", f"{error.message}; the stack runs without it", "yellow")
        return None


def choose_ports(base: int | None, moved: list[str]) -> Ports:
    """The ports that options ask for.

    Raises:
        typer.BadParameter: a part is unknown or its port is no number.
        StackError: the base is out of range.
    """
    ports = Ports() if base is None else Ports.from_base(base)
    for one in moved:
        part, _, number = one.partition("=")
        if part not in Ports.names() or not number.isdigit():
            raise typer.BadParameter(
                f"{one!r}: give PART=PORT; the parts are {', '.join(Ports.names())}"
            )
        ports = replace(ports, **{part: int(number)})
    return ports


def _farewell(stack: Stack, news: StarterResult | None) -> None:
    """Where everything is, a token, and what to try next."""
    environment = stack.environment
    rows = [(name, f"{environment[f'SENTINELIQ_{name.upper()}_URL']}/docs") for name in SERVICES]
    secret = SecretStr(environment["SENTINELIQ_SECRET_KEY"])
    token = issue_token(
        secret, actor=actor(), tenant="default", role="operator", lifetime=TOKEN_LIFETIME
    )
    folder = (
        "" if stack.data_dir == DEFAULT_DATA_DIR.absolute() else f" --data-dir {stack.data_dir}"
    )
    value = news.best["value"] if news and news.best else "198.51.100.7"
    output.show(
        output.table(("API", "documentation"), rows),
        Text("token (operator, tenant default, 30 days):", style="bold"),
        Text(token, overflow="fold"),
        Text("\ntry next, in another terminal:", style="bold"),
        Text(f"  sentineliq lookup {value}{folder}"),
        Text(f"  sentineliq ingest FILE_OR_URL{folder}"),
        Text(f"  sentineliq mitre search powershell{folder}"),
        Text(f"  sentineliq doctor{folder}"),
        Text("\nCtrl-C stops everything.", style="bold"),
    )


def demo(
    *,
    as_json: AsJson = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every line the processes write.")
    ] = False,
) -> None:
    """Tell the whole story once on a throw-away folder: feeds, scores, ATT&CK, a signed webhook. Ends by itself."""
    progress = ProgressLines(output.console(to_stderr=as_json), verbose=verbose)
    with reported_errors():
        summary = run_demo(progress)
    if as_json:
        output.echo_json(summary)
    else:
        output.show(output.details(summary))

"""The list of commands: complete, correct without importing the commands, and fast."""

import os
import pkgutil
import subprocess
import sys

import pytest
import typer.main
from typer.core import TyperCommand, TyperGroup

from sentineliq.cli import commands
from sentineliq.cli.app import app
from sentineliq.cli.deferred import DeferredCommand

HEAVY = (
    "aiokafka",
    "alembic",
    "asyncio",
    "celery",
    "fastapi",
    "psycopg",
    "pydantic",
    "redis",
    "rich",
    "sqlalchemy",
)
"""Packages that `--help` must not wait for."""
SERVERS = {"aiokafka", "alembic", "celery", "fastapi", "kombu", "psycopg", "redis", "sqlalchemy"}
"""Packages that talk to servers, which takes long to import."""
DEFERRED = typer.main.get_command(app).commands
WIDTH = 80


def test_help_lists_every_command(cli_without_stack):
    words = {
        "up",
        "demo",
        "ingest",
        "lookup",
        "feeds",
        "observables",
        "mitre",
        "schedules",
        "notifications",
        "events",
        "consumers",
        "dead",
        "audit",
        "tokens",
        "quotas",
        "doctor",
        "enrich",
        "enrichers",
        "enrichments",
        "policies",
        "collections",
        "lists",
        "secrets",
        "login",
        "logout",
        "members",
        "invite",
        "keys",
        "sessions",
        "auth",
        "gateway",
        "extract",
        "reconcile",
        "reference",
        "relations",
        "sightings",
        "trends",
        "digests",
        "groups",
        "inbox",
        "inhibitions",
        "silences",
        "watchlists",
    }
    text = cli_without_stack("--help").stdout
    assert [word for word in words if word not in text] == []
    assert set(DEFERRED) == words


def test_every_module_of_commands_is_reachable():
    modules = {module.name for module in pkgutil.iter_modules(commands.__path__)}
    assert {command.target.partition(":")[0] for command in DEFERRED.values()} == modules


@pytest.mark.parametrize("name", DEFERRED)
def test_the_declared_help_is_the_command_s_own(name):
    declared = DEFERRED[name]
    assert isinstance(declared, DeferredCommand)
    real = declared.load()
    assert isinstance(real, TyperCommand | TyperGroup)
    assert declared.get_short_help_str(1000) == real.get_short_help_str(1000)


@pytest.mark.parametrize("name", DEFERRED)
def test_short_helps_fit_a_terminal(name):
    def check(command) -> None:
        members = getattr(command, "commands", {})
        room = WIDTH - 6 - max(map(len, members), default=0)
        for member in members.values():
            assert not member.get_short_help_str(room).endswith("..."), member.name
            check(member)

    check(DEFERRED[name].load())
    room = WIDTH - 6 - max(map(len, DEFERRED))
    assert not DEFERRED[name].get_short_help_str(room).endswith("...")


SCRIPT = """
import sys
from sentineliq.cli.app import app
try:
    app(sys.argv[1:], prog_name='sentineliq')
except SystemExit:
    pass
print(*sys.modules)
"""


def imported_by(*arguments):
    """The packages that a call of the command line imports."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], []])
def test_help_imports_no_command(arguments):
    assert imported_by(*arguments).isdisjoint(HEAVY)


@pytest.mark.parametrize("name", ["ingest", "lookup", "enrich", "notifications", "tokens"])
def test_commands_that_use_the_apis_import_neither_kafka_nor_a_database(name):
    assert imported_by(name, "--help").isdisjoint(SERVERS)


def test_the_doctor_needs_neither_sqlalchemy_nor_celery():
    assert imported_by("doctor", "--help").isdisjoint({"alembic", "celery", "sqlalchemy"})


@pytest.mark.parametrize(
    "arguments",
    [
        ["ingest"],
        ["feeds", "unknown"],
        ["ingest", "x", "--confidence", "101"],
        ["dead", "retry"],
        ["schedules", "add"],
    ],
)
def test_wrong_usage_is_exit_code_2(cli_without_stack, arguments):
    assert cli_without_stack(*arguments).exit_code == 2

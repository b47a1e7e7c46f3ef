"""Messages that tell a person to do something: the command is there, and so is the field."""

import ast
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from itertools import product, takewhile
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import msgspec
import pytest
import typer.main
from fastapi import FastAPI
from pydantic import SecretStr

from sentineliq.cli.app import app
from sentineliq.cli.deferred import DeferredCommand
from services.feeds.collectors.registry import collector_named, collector_names
from services.feeds.formats import format_named, format_names
from shared.database import Database
from shared.events import CATALOGUE
from shared.settings import SERVICES, Settings

ROOT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("services", "shared", "sentineliq")
    for path in (ROOT / folder).rglob("*.py")
]
DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]
COMMAND_LINE = [path for path in CODE if path.is_relative_to(ROOT / "sentineliq")]
_COMMAND = re.compile(r"`(?:\.venv/bin/)?(sentineliq [^`]+)`")
_COMMAND_LINE = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?(sentineliq [^\n]*)", re.MULTILINE)
_OPTION = re.compile(r"(?<![\w`-])`?(--[a-z][a-z-]+)")
_PROGRAMS = ("python -m", "docker", "kafka-", "pip ", "psql", "openssl", "make ", "uv ", "celery ")
"""Programs of others that messages name with options of their own."""


class Text(NamedTuple):
    """A text of the code.

    Attributes:
        place: file and line.
        text: with `X` for what is filled in.
        is_message: whether a person may read it; a docstring is for readers of the code.
    """

    place: str
    text: str
    is_message: bool


@cache
def texts() -> list[Text]:
    """All texts of the code."""
    return [text for path in CODE for text in _texts_of(path)]


def _texts_of(path: Path) -> Iterator[Text]:
    tree = ast.parse(path.read_text())
    parts: set[int] = set()
    docstrings: set[int] = set()
    for node in ast.walk(tree):
        place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Expr):
            docstrings.add(id(node.value))
        elif isinstance(node, ast.JoinedStr):
            parts.update(map(id, node.values))
            pieces = [
                str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
            ]
            yield Text(place, "".join(pieces), is_message=True)
        elif _is_text(node) and id(node) not in parts:
            yield Text(place, node.value, is_message=id(node) not in docstrings)


def _is_text(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def commands_in(text: str) -> list[str]:
    """The commands that a text names."""
    return [" ".join(match.split()) for match in _COMMAND.findall(text)]


def variants(command: str) -> Iterator[list[str]]:
    """The arguments of a command line; `a|b` stands for two of them, `[X]` for one with X."""
    words = [word.strip("[]") for word in shlex.split(command.partition("  #")[0], comments=True)]
    arguments = takewhile(lambda word: word != ">", words[1:])  # the shell takes the rest
    yield from map(list, product(*(word.split("|") for word in arguments)))


def find_command(arguments: list[str]) -> tuple[Any, Any, list[str]]:
    """The command that arguments name, its context, and the arguments behind its name.

    Raises:
        LookupError: there is no such command.
    """
    command: Any = typer.main.get_command(app)
    context = typer.Context(command)
    rest = list(arguments)
    while hasattr(command, "commands"):
        if not rest:
            return command, context, []
        name = rest.pop(0)
        child = command.get_command(context, name)
        if child is None:
            raise LookupError(f"{name!r} is no command of {command.name!r}")
        command = child.load() if isinstance(child, DeferredCommand) else child
        context = typer.Context(command, parent=context, info_name=name)
    return command, context, rest


MESSAGES = sorted(
    {
        (command, text.place)
        for text in texts()
        if text.is_message
        for command in commands_in(text.text)
    }
)
MENTIONS = sorted(
    {command for text in texts() for command in commands_in(text.text)}
    | {command for path in DOCUMENTS for command in commands_in(path.read_text())}
    | {command for path in DOCUMENTS for command in _COMMAND_LINE.findall(path.read_text())}
)


@pytest.mark.parametrize("mention", MENTIONS)
def test_a_command_that_is_named_has_such_arguments(mention: str) -> None:
    for arguments in variants(mention):
        command, context, rest = find_command(arguments)
        if hasattr(command, "commands"):
            continue
        _, surplus, _ = command.make_parser(context).parse_args(rest)
        assert not surplus, f"{mention}: {surplus} are no arguments of it"


@pytest.mark.parametrize(("message", "place"), MESSAGES)
def test_a_command_that_a_message_gives_can_be_run_as_it_stands(message: str, place: str) -> None:
    for arguments in variants(message):
        command, context, rest = find_command(arguments)
        assert not hasattr(command, "commands"), f"{place}: {message} only shows its help"
        command.make_context(context.info_name, rest, context.parent)


def test_there_are_messages_and_mentions() -> None:
    assert len(MESSAGES) > 15
    assert len(MENTIONS) > 80


@cache
def all_options() -> set[str]:
    """The options of all commands."""
    options: set[str] = set()
    stack: list[Any] = [typer.main.get_command(app)]
    while stack:
        command = stack.pop()
        if isinstance(command, DeferredCommand):
            command = command.load()
        stack += getattr(command, "commands", {}).values()
        for parameter in command.params:
            options.update(parameter.opts)
            options.update(parameter.secondary_opts)
    return options


@pytest.mark.parametrize("path", COMMAND_LINE, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_option_that_a_message_names_is_there(path: Path) -> None:
    for text in _texts_of(path):
        if text.is_message and " " in text.text and not any(map(text.text.count, _PROGRAMS)):
            names = set(_OPTION.findall(text.text))
            assert names <= all_options(), f"{text.place}: {text.text}"


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The OpenAPI document of each service."""
    settings = Settings(
        database_url=SecretStr("postgresql://127.0.0.1/none"),
        celery_broker_url=SecretStr("redis://127.0.0.1/0"),
        kafka_bootstrap_servers="127.0.0.1:1",
        secret_key=SecretStr("x" * 32),
        data_dir=tmp_path_factory.mktemp("data"),
    )
    documents = {}
    for service in SERVICES:
        module = __import__(f"services.{service}.app", fromlist=["create_app"])
        api: FastAPI = module.create_app(settings, Database("postgresql://127.0.0.1/none", service))
        documents[service] = api.openapi()
    return documents


def names_in(schema: Any) -> Iterator[str]:
    """The names of all fields and parameters of an OpenAPI document."""
    if isinstance(schema, list):
        for entry in schema:
            yield from names_in(entry)
    elif isinstance(schema, dict):
        if "in" in schema and isinstance(schema.get("name"), str):
            yield schema["name"]
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        for entry in schema.values():
            yield from names_in(entry)


ELSEWHERE = {
    "act": "the last segment of an address to which a form of the console is sent",
    "content-type": "the request's header",
    "body": "the request's body as a whole",
    "headers": "of a request that goes out, which no person writes",
    "match[version]": "a parameter of TAXII, whose standard describes its routes",
    "method": "of a request that goes out, which no person writes",
    "objects": "of an envelope of TAXII, whose standard describes its routes",
    "payload": "of an event",
    "signature": "of an event or a task, which no person writes",
}
"""What problems name as their field beside fields of the API, of settings, and of events."""


def problem_fields() -> list[tuple[str, str]]:
    """The fields that errors name, each with a place."""
    return sorted(
        {
            (str(keyword.value.value), f"{path.relative_to(ROOT)}:{node.lineno}")
            for path in CODE
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            for keyword in node.keywords
            if keyword.arg == "field" and isinstance(keyword.value, ast.Constant)
        }
    )


def names_of_events() -> set[str]:
    """The names of the attributes and fields of all events."""
    names = {"ce_tenant", "ce_type"}
    for topic in CATALOGUE:
        names.update(field.encode_name for field in msgspec.structs.fields(topic.payload))
    return names


def names_of_options() -> set[str]:
    """The options of all formats and collectors."""
    names = {"sheet"}  # of a spreadsheet, beside the options of a table
    formats = [format_named(name) for name in format_names()]
    collectors = [collector_named(name) for name in collector_names()]
    for plug_in in (*formats, *collectors):
        module = sys.modules[type(plug_in).__module__]
        for entry in vars(module).values():
            if isinstance(entry, type) and issubclass(entry, msgspec.Struct):
                names.update(field.encode_name for field in msgspec.structs.fields(entry))
    return names


def test_a_field_that_a_problem_names_can_be_sent(schemas: dict[str, dict[str, Any]]) -> None:
    names = {name for schema in schemas.values() for name in names_in(schema)}
    names |= set(Settings.model_fields) | names_of_events() | set(ELSEWHERE)
    options = names_of_options()
    fields = problem_fields()
    assert len(fields) > 60
    for field, place in fields:
        head, _, option = field.partition(".")
        assert head in names, f"{place}: there is no field {field}"
        if head in ("options", "collector_options"):
            assert not option or option in options, f"{place}: there is no option {field}"

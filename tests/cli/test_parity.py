"""Every operation of the APIs, and every parameter of it, is a verb and an option of the commands.

The OpenAPI documents say what there is: a new route or field fails here until the command line has
it, or the tables below say in words why it does not.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from shared.database import Database
from shared.settings import SERVICES, Settings
from tests.cli.gateway_operations import Offer, offer_of
from tests.cli.parity_table import ELSEWHERE, EVERY_SERVICE, OPERATIONS, REFERENCE, Reason, Verb
from tests.cli.test_messages import find_command

METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """An operation of an API with the names of all its parameters."""

    service: str
    key: str
    parameters: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.service} {self.key}"


@cache
def operations() -> tuple[Operation, ...]:
    """The operations of all services, as their OpenAPI documents describe them."""
    settings = Settings(
        database_url=SecretStr("postgresql://127.0.0.1/none"),
        celery_broker_url=SecretStr("redis://127.0.0.1/0"),
        kafka_bootstrap_servers="127.0.0.1:1",
        secret_key=SecretStr("x" * 32),
        data_dir=Path("none"),
    )
    listed: list[Operation] = []
    for service in SERVICES:
        module = __import__(f"services.{service}.app", fromlist=["create_app"])
        api: FastAPI = module.create_app(settings, Database("postgresql://127.0.0.1/none", service))
        document = api.openapi()
        for path, methods in document["paths"].items():
            for method in sorted(set(METHODS) & methods.keys()):
                names = (*_parameters(methods[method]), *_fields(methods[method], document))
                listed.append(Operation(service, f"{method.upper()} {path}", names))
    return tuple(listed)


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    for parameter in operation.get("parameters", ()):
        yield parameter["name"]


def _fields(operation: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    """The fields of a body in JSON."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    while "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        schema = document["components"]["schemas"][name]
    yield from schema.get("properties", {})


def verb_of(operation: Operation) -> Verb | Reason | None:
    """What the tables say of an operation."""
    verb = OPERATIONS.get(str(operation)) or EVERY_SERVICE.get(operation.key)
    if verb is not None:
        return verb
    path = operation.key.partition(" ")[2]
    for (service, beginning), reason in ELSEWHERE.items():
        if operation.service == service and path.startswith(beginning):
            return reason
    offer = offer_of(operation.key) if operation.service == "gateway" else None
    if isinstance(offer, Offer):
        return Verb(*offer)
    return None if offer is None else Reason(offer)


@pytest.mark.parametrize("operation", operations(), ids=str)
def test_an_operation_is_a_command_and_each_parameter_an_option_with_help(
    operation: Operation,
) -> None:
    verb = verb_of(operation)
    assert verb is not None, f"no command offers {operation}"
    if isinstance(verb, Reason):
        assert len(verb.split()) > 3, f"{operation}: the reason is no sentence"
        return
    command, _, rest = find_command(["sentineliq", *verb.command.split()][1:])
    assert not rest
    assert not hasattr(command, "commands"), f"{verb.command} is a group"
    assert command.help, f"{verb.command} has no help"
    options = {parameter.name: parameter for parameter in command.params}
    for name in operation.parameters:
        if name in verb.reasons:
            continue
        option = options.get(verb.names.get(name, REFERENCE.get(name, _own_name(name, options))))
        assert option is not None, f"{verb.command} has nothing for {name} of {operation}"
        assert getattr(option, "help", None), f"{verb.command}: {option.name} has no help"


def _own_name(name: str, options: dict[str, Any]) -> str:
    """The parameter of the command with the API's name; `_` parts it from a word of Python."""
    return name if name in options else f"{name}_"


def test_no_table_names_what_is_not_there() -> None:
    present = {str(operation) for operation in operations()}
    keys = {operation.key for operation in operations()}
    assert set(OPERATIONS) <= present
    assert set(EVERY_SERVICE) <= keys


def test_every_option_of_every_command_has_a_help_text() -> None:
    for operation in operations():
        verb = verb_of(operation)
        if isinstance(verb, Verb):
            command, _, _ = find_command(verb.command.split())
            for parameter in command.params:
                assert getattr(parameter, "help", None), f"{verb.command}: {parameter.name}"

"""`sentineliq lookup`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client import answers
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import ValueAnswer, decode
from sentineliq.cli.client.value_input import read_values
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import AsOf, Type

lookup = CommandGroup()

_COLUMNS: Final = ("value", "type", "score", "verdict", "sources", "tags", "last seen", "remarks")
_DETAILED: Final = 5
"""Values up to which each answer is told in full; more become a table."""
_BATCH: Final = 10_000
"""Values that the API takes at a time."""


@lookup.command("lookup")
def look_up(
    ctx: Context,
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[VALUE]...",
            help="Types may be mixed, and defanged forms are understood. `-`, or none, reads "
            "values from standard input, one a line.",
        ),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", exists=True, dir_okay=False, help="Values of a file, one a line."),
    ] = None,
    type_: Type = None,
    as_of: AsOf = None,
    describe: Annotated[
        bool,
        typer.Option(
            "--describe/--no-describe",
            help="Tell what reference data knows about values that are not stored.",
        ),
    ] = True,
) -> None:
    """Look up values.

    The answer has the canonical value, the verdict in a sentence, sources, families, ATT&CK,
    allow-lists, and the networks and domains around it. More than five values become a table.
    """
    listed = read_values(values or (), file)
    body: Json = {"type": type_, "as_of": as_of, "describe": describe and as_of is None}
    documents = list(_answers(ctx.obj.client, listed, body))
    if ctx.obj.as_json:
        output.print_json(documents)
        return
    results = decode(list[ValueAnswer], documents)
    if len(results) <= _DETAILED:
        for result in results:
            output.show(output.details(answers.facts(result)), output.cell(""))
        return
    output.show(output.table(_COLUMNS, map(_row, results)))


def _answers(client: Client, values: list[str], body: Json) -> Iterator[Json]:
    for start in range(0, len(values), _BATCH):
        part = {"values": values[start : start + _BATCH], **body}
        yield from client.post("observables", "/v1/lookup", part)["items"]


def _row(result: ValueAnswer) -> tuple[Any, ...]:
    value = answers.canonical_value(result)
    remarks = "; ".join(answers.allow_lists(result))
    if result.observable is None:
        return (value, result.type or None, None, _short_verdict(result), *(None,) * 3, remarks)
    observable = result.observable
    return (
        value,
        observable.type,
        observable.score,
        observable.verdict,
        answers.sources(observable),
        observable.tags,
        answers.age(observable.last_seen),
        remarks,
    )


def _short_verdict(result: ValueAnswer) -> str:
    return result.problem or "unknown"

"""`sentineliq consumers`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import Service, chosen_services
from shared.errors import InvalidInput, NotFound
from shared.service_names import ServiceName

consumers = CommandGroup("Consumers: halted partitions, and gaps in logs.")

_PATH = "/v1/consumers"
_COLUMNS = ("service", "topic", "partition", "offset", "dead", "halted", "reason")
_GAP_COLUMNS = ("service", "topic", "partition", "kind", "applied to", "noticed", "repair")


@consumers.command("list")
def list_partitions(
    ctx: Context,
    *,
    service: Service = None,
    halted: Annotated[bool, typer.Option("--halted", help="Only halted partitions.")] = False,
) -> None:
    """List how far each partition is applied, and what is halted."""
    documents = [
        {"service": name, **partition}
        for name, view in _views(ctx.obj, service)
        for partition in view["partitions"]
        if partition["halted_at"] or not halted
    ]
    rows = [
        (
            document["service"],
            document["topic"],
            document["partition"],
            document["last_offset"],
            document["dead_letters"],
            output.format_time(document["halted_at"]),
            document["halted_reason"],
        )
        for document in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no partitions"))


@consumers.command("gaps")
def list_gaps(ctx: Context, *, service: Service = None) -> None:
    """List where logs had lost records, and what you have to do."""
    documents = [
        {"service": name, **gap} for name, view in _views(ctx.obj, service) for gap in view["gaps"]
    ]
    rows = [
        (
            document["service"],
            document["topic"],
            document["partition"],
            document["kind"],
            document["last_offset"],
            output.format_time(document["noticed_at"]),
            document["repair"],
        )
        for document in documents
    ]
    ctx.obj.answer(documents, output.table(_GAP_COLUMNS, rows, empty="no gaps"))


@consumers.command("release")
def release_partition(
    ctx: Context,
    partition: Annotated[
        str,
        typer.Argument(
            metavar="TOPIC[/PARTITION]", help="A topic, e.g. feeds.observed.v1/0; or all of it."
        ),
    ],
    *,
    service: Service = None,
    allow: Annotated[
        int, typer.Option(min=0, help="How many more records may become dead letters.")
    ] = 0,
) -> None:
    """Consume a halted partition again.

    Remove the cause first: the partition halts again if as many records fail as before. With
    --allow these become dead letters, also those that the database refuses for another reason than
    their values.
    """
    topic, _, number = partition.partition("/")
    if number and not number.isdigit():
        raise InvalidInput(f"{number!r} is no partition: give its number")
    order: dict[str, Any] = {"topic": topic, "allow": allow}
    if number:
        order["partition"] = int(number)
    released: list[Json] = []
    for name in chosen_services(service):
        try:
            answer = ctx.obj.client.post(name, f"{_PATH}/release", order)
        except NotFound:
            continue
        released += [{"service": name, **item} for item in answer["partitions"]]
    if not released:
        raise NotFound(f"no partition of {topic} is halted")
    lines = [
        f"{item['topic']}/{item['partition']} of {item['service']} is consumed again"
        for item in released
    ]
    ctx.obj.answer({"released": released}, *map(output.cell, lines))


def _views(context: CommandContext, service: str | None) -> list[tuple[ServiceName, Json]]:
    return [(name, context.client.get(name, _PATH)) for name in chosen_services(service)]

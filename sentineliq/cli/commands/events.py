"""`sentineliq events`."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.client.kafka_reader import (
    TopicRecord,
    open_reader,
    require_topic,
    topic_record,
)
from sentineliq.cli.context import CommandContext, CommandGroup, Context

events = CommandGroup("Events that the services publish.")

_SHOWN = 1000
"""Characters of a payload that people see; --json prints all of it."""


@events.command("tail")
def tail(
    ctx: Context,
    topic: Annotated[str, typer.Argument(help="The topic, e.g. observables.changed.v1.")],
    *,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest event of the topic.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
) -> None:
    """Print a topic's events as they arrive, one a line; stop with Ctrl-C."""
    require_topic(topic)
    try:
        asyncio.run(_print_events(ctx.obj, topic, count, from_beginning=from_beginning))
    except KeyboardInterrupt:
        return


async def _print_events(
    context: CommandContext, topic: str, count: int | None, *, from_beginning: bool
) -> None:
    printed = 0
    async with open_reader(context.settings, [topic]) as consumer:
        if from_beginning:
            await consumer.seek_to_beginning()
        else:
            await consumer.seek_to_end()
        async for message in consumer:
            record = topic_record(context.settings, message)
            if context.as_json:
                output.print_json_line(record.as_dict())
            else:
                output.show(_line(record))
            printed += 1
            if printed == count:
                return


def _line(record: TopicRecord) -> Text:
    data = output.to_json(record.payload())
    if len(data) > _SHOWN:
        data = f"{data[:_SHOWN]}… ({len(data):,} characters)"
    tenant = record.header("ce_tenant") or "-"
    key = "-" if record.key_text is None else record.key_text
    return Text.assemble(
        (record.time, "dim"),
        " ",
        (record.id, "bold"),
        output.printable(f" {tenant} key={key} "),
        output.printable(data),
    )

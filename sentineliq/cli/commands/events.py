"""`sentineliq events`: watch what the services tell each other."""

import asyncio
from typing import Annotated

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.client.kafka_reader import TopicRecord, entry, known_topic, reader
from sentineliq.cli.context import CommandContext, command

events = typer.Typer(help="Events: what the services tell each other.", no_args_is_help=True)

_SHOWN = 1000
"""Characters of a payload that people see; --json has it whole."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(events, name="events")


@command(events, "tail")
def tail(
    context: CommandContext,
    topic: Annotated[str, typer.Argument(help="For instance observables.changed.v1.")],
    *,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Also what is there already.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many events.")] = None,
) -> None:
    """Show a topic's events as they come, one a line; Ctrl-C ends it."""
    known_topic(topic)
    try:
        asyncio.run(_show(context, topic, count, from_beginning=from_beginning))
    except KeyboardInterrupt:
        return


async def _show(
    context: CommandContext, topic: str, count: int | None, *, from_beginning: bool
) -> None:
    settings, shown = context.settings, 0
    async with reader(settings, [topic]) as consumer:
        if from_beginning:
            await consumer.seek_to_beginning()
        else:
            await consumer.seek_to_end()
        async for record in consumer:
            one = entry(settings, record)
            if context.as_json:
                output.echo_json_line(one.as_dict())
            else:
                output.show(_line(one))
            shown += 1
            if shown == count:
                return


def _line(one: TopicRecord) -> Text:
    data = output.as_json(one.payload())
    cut = data if len(data) <= _SHOWN else f"{data[:_SHOWN]}… ({len(data):,} characters)"
    key = "-" if one.key is None else one.key.decode("utf-8", "replace")
    who = f" {one.header('ce_tenant') or '-'} key={key} "
    return Text.assemble(
        (one.time, "dim"), " ", (one.id, "bold"), output.clean(who), output.clean(cut)
    )

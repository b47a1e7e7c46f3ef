"""Commands of `sentineliq events` about the log: read it, publish to it again."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.kafka_reader import (
    TopicRecord,
    open_reader,
    require_topic,
    topic_record,
)
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import Service, chosen_services
from shared.tenants import PUBLIC

log_commands = CommandGroup()

_SHOWN = 1000
"""Characters of a payload that people see; --json prints all of it."""


@log_commands.command("tail")
def tail(
    ctx: Context,
    topic: Annotated[str, typer.Argument(help="The topic, e.g. observables.changed.v1.")],
    *,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest event of the topic.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
) -> None:
    """Print a topic's events as they arrive; stop with Ctrl-C."""
    require_topic(topic)
    try:
        asyncio.run(_print_events(ctx.obj, topic, count, from_beginning=from_beginning))
    except KeyboardInterrupt:
        return


@log_commands.command("waiting")
def show_waiting(ctx: Context, *, service: Service = None) -> None:
    """Show how many events wait for Kafka, and how long.

    It also shows how many are parked.
    """
    with Client(ctx.obj.environment, PUBLIC) as client:
        documents: list[Json] = [
            {"service": name, **client.get(name, "/v1/outbox")} for name in chosen_services(service)
        ]
    rows = [
        (item["service"], item["waiting"], item["oldest_seconds"], item["parked"])
        for item in documents
    ]
    columns = ("service", "waiting", "oldest (s)", "parked")
    ctx.obj.answer(documents, output.table(columns, rows))


@log_commands.command("resend")
def resend_events(
    ctx: Context,
    *,
    since: Annotated[
        datetime, typer.Option(help="What was published since this time, e.g. 2026-11-30T08:00Z.")
    ],
    service: Service = None,
    topics: Annotated[
        list[str] | None,
        typer.Option("--topic", help="Only this topic; you may repeat this option."),
    ] = None,
) -> None:
    """Publish events again that the log has lost.

    Outboxes keep what they have published for SENTINELIQ_OUTBOX_KEEP_HOURS. Events keep their
    ids, and receivers drop what they have handled. A time without an offset is UTC.
    """
    moment = since.replace(tzinfo=since.tzinfo or UTC)
    for topic in topics or []:
        require_topic(topic)
    counts = {}
    with Client(ctx.obj.environment, PUBLIC) as client:
        for name in chosen_services(service):
            body = {"since": moment.isoformat(), "topics": topics or []}
            counts[name] = client.post(name, "/v1/outbox/resend", body)["events"]
    ctx.obj.answer(counts, output.details({name: f"{count:,}" for name, count in counts.items()}))


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

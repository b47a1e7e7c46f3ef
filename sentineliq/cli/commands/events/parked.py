"""`sentineliq events parked`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import Service, chosen_services
from shared.tenants import PUBLIC

parked = CommandGroup("Events that Kafka refuses.")

OneService = Annotated[str, typer.Option(help="The service whose events these are.")]
Ids = Annotated[
    list[int] | None, typer.Argument(metavar="ID", help="Ids, as `events parked list` shows them.")
]
All = Annotated[bool, typer.Option("--all", help="All parked events of the service.")]

_PATH = "/v1/outbox/parked"
_COLUMNS = ("service", "id", "topic", "tenant", "bytes", "parked", "reason")


@parked.command("list")
def list_parked(ctx: Context, *, service: Service = None) -> None:
    """List the events that Kafka refuses, with the reason."""
    events: list[Json] = []
    with Client(ctx.obj.environment, PUBLIC) as client:
        for name in chosen_services(service):
            events += [{"service": name, **event} for event in client.items(name, _PATH)]
    rows = [
        (
            event["service"],
            event["id"],
            event["topic"],
            event["tenant"],
            event["size"],
            output.format_time(event["parked_at"]),
            event["reason"],
        )
        for event in events
    ]
    ctx.obj.answer(events, output.table(_COLUMNS, rows, empty="no parked events"))


@parked.command("retry")
def retry_parked(ctx: Context, ids: Ids = None, *, service: OneService, all_: All = False) -> None:
    """Publish parked events after all: the cause is mended."""
    _change(ctx.obj, "retry", service, ids, is_all=all_)


@parked.command("discard")
def discard_parked(
    ctx: Context, ids: Ids = None, *, service: OneService, all_: All = False
) -> None:
    """Delete parked events for good."""
    _change(ctx.obj, "discard", service, ids, is_all=all_)


def _change(
    context: CommandContext, verb: str, service: str, ids: list[int] | None, *, is_all: bool
) -> None:
    if bool(ids) == is_all:
        raise typer.BadParameter("name events by their ids, or use --all")
    (name,) = chosen_services(service)
    with Client(context.environment, PUBLIC) as client:
        chosen = ids or [event["id"] for event in client.items(name, _PATH)]
        changed: list[int] = []
        for start in range(0, len(chosen), 1000):
            body = {"ids": chosen[start : start + 1000]}
            changed += client.post(name, f"{_PATH}/{verb}", body)["ids"]
    past = {"retry": "is tried again", "discard": "was discarded"}[verb]
    lines = [output.cell(f"{event_id} {past}") for event_id in changed]
    context.answer({"ids": changed}, *(lines or [output.cell("no event is parked")]))

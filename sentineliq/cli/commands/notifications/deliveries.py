"""`sentineliq notifications deliveries`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.documents import DeliverySummary, decode
from sentineliq.cli.commands.notifications.items import CHANNELS, DELIVERIES, RULES
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import without_none

deliveries = CommandGroup("Deliveries: what was sent, and whether it arrived.")

DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.")]
OtherChannel = Annotated[
    str | None, typer.Option("--to", help="Send it through this channel (name or id) instead.")
]

_DELIVERY_COLUMNS = (
    "when",
    "rule",
    "channel",
    "source",
    "matches",
    "state",
    "attempts",
    "error",
    "id",
)
_MATCH_FIELDS = ("value", "type", "kind", "score", "score_before", "tags")


@deliveries.command("list")
def list_deliveries(
    ctx: Context,
    *,
    state: Annotated[
        str | None,
        typer.Option(help="Only deliveries that are pending, delivering, delivered or failed."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Only deliveries of this rule (name or id).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
) -> None:
    """List deliveries, the newest first."""
    client = ctx.obj.client
    rule_id = client.resolve("notifications", RULES, rule).id if rule else None
    documents = list(
        client.items("notifications", DELIVERIES, most=limit, state=state, rule_id=rule_id)
    )
    rows = map(_delivery_row, decode(list[DeliverySummary], documents))
    empty = "nothing was sent yet"
    ctx.obj.answer(documents, output.table(_DELIVERY_COLUMNS, rows, empty=empty))


def _delivery_row(delivery: DeliverySummary) -> tuple[Any, ...]:
    return (
        output.format_time(delivery.created_at),
        delivery.rule,
        delivery.channel,
        delivery.source,
        delivery.match_count,
        delivery.state,
        delivery.attempts,
        delivery.last_error,
        delivery.id,
    )


@deliveries.command("show")
def show_delivery(ctx: Context, delivery: DeliveryId) -> None:
    """Show a delivery with all its matches."""
    document = ctx.obj.client.get("notifications", f"{DELIVERIES}/{delivery}")
    rows = [list(map(match.get, _MATCH_FIELDS)) for match in document["matches"]]
    pairs = {name: value for name, value in document.items() if name != "matches"}
    columns = ("value", "type", "kind", "score", "before", "tags")
    ctx.obj.answer(document, output.details(pairs), output.table(columns, rows))


@deliveries.command("retry")
def retry_delivery(ctx: Context, delivery: DeliveryId) -> None:
    """Try a failed or waiting delivery again now."""
    document = ctx.obj.client.post("notifications", f"{DELIVERIES}/{delivery}/retry")
    ctx.obj.answer(document, output.cell(f"{document['rule']}: {document['state']}"))


@deliveries.command("replay")
def replay_delivery(ctx: Context, delivery: DeliveryId, *, to: OtherChannel = None) -> None:
    """Send what a delivery told again, as a new message."""
    client = ctx.obj.client
    channel = client.resolve("notifications", CHANNELS, to).id if to else None
    body = without_none({"channel_id": channel})
    document = client.post("notifications", f"{DELIVERIES}/{delivery}/replay", body)
    ctx.obj.answer(document, output.cell(f"{document['replayed']} sent again"))


@deliveries.command("replay-all")
def replay_range(
    ctx: Context,
    *,
    since: Annotated[str, typer.Option(help="The beginning of the time (RFC 3339).")],
    until: Annotated[str, typer.Option(help="The end of the time (RFC 3339).")],
    rule: Annotated[str | None, typer.Option(help="Only those of this rule (name or id).")] = None,
    channel: Annotated[
        str | None, typer.Option(help="Only those through this channel (name or id).")
    ] = None,
    state: Annotated[str | None, typer.Option(help="Only delivered, or only failed ones.")] = None,
    to: OtherChannel = None,
) -> None:
    """Send again what was told in a time, 10,000 at most."""
    client = ctx.obj.client

    def id_of(path: str, reference: str | None) -> str | None:
        return client.resolve("notifications", path, reference).id if reference else None

    body = without_none(
        {
            "since": since,
            "until": until,
            "rule_id": id_of(RULES, rule),
            "channel_id": id_of(CHANNELS, channel),
            "state": state,
            "to_channel_id": id_of(CHANNELS, to),
        }
    )
    document = client.post("notifications", f"{DELIVERIES}/replay", body)
    ctx.obj.answer(document, output.cell(f"{document['replayed']} sent again"))

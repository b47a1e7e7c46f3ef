"""`sentineliq groups` and `sentineliq inbox`."""

from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context

groups = CommandGroup("Groups: what rules have matched that belongs together.")
inbox = CommandGroup("The inbox: messages that are read in the product.")

_GROUPS = "/v1/groups"
_INBOX = "/v1/inbox"
_COLUMNS = ("opened", "rule", "labels", "severity", "state", "matches", "acknowledged by", "id")
_BATCH_COLUMNS = ("when", "source", "matches", "told in message", "values")
_INBOX_COLUMNS = ("when", "severity", "rule", "kind", "source", "matches", "read", "id")

GroupId = Annotated[str, typer.Argument(metavar="GROUP", help="The group's id.")]
Limit = Annotated[int, typer.Option(min=1, help="Show at most so many.")]


@groups.command("list")
def list_groups(
    ctx: Context,
    *,
    rule: Annotated[str | None, typer.Option(help="Only groups of this rule (name or id).")] = None,
    open_: Annotated[
        bool | None, typer.Option("--open/--closed", help="Only open, or only closed ones.")
    ] = None,
    limit: Limit = 20,
) -> None:
    """List groups, the newest first."""
    client = ctx.obj.client
    rule_id = client.resolve("notifications", "/v1/rules", rule).id if rule else None
    is_open = None if open_ is None else str(open_).lower()
    documents = list(
        client.items("notifications", _GROUPS, most=limit, rule_id=rule_id, open=is_open)
    )
    rows = map(_group_row, documents)
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no groups yet"))


def _group_row(group: Json) -> tuple[Any, ...]:
    return (
        output.format_time(group["opened_at"]),
        group["rule"],
        group["labels"],
        group["severity"],
        group["state"],
        group["match_count"],
        group["acknowledged_by"],
        group["id"],
    )


@groups.command("show")
def show_group(ctx: Context, group: GroupId) -> None:
    """Show a group."""
    document = ctx.obj.client.get("notifications", f"{_GROUPS}/{group}")
    ctx.obj.answer(document, output.details(document))


@groups.command("matches")
def list_matches(ctx: Context, group: GroupId, *, limit: Limit = 20) -> None:
    """List what a group has matched by event, the oldest first."""
    path = f"{_GROUPS}/{group}/batches"
    documents = list(ctx.obj.client.items("notifications", path, most=limit))
    rows = [
        (
            output.format_time(batch["event_at"]),
            batch["source"],
            batch["match_count"],
            batch["window_number"],
            _values(batch["matches"]),
        )
        for batch in documents
    ]
    ctx.obj.answer(documents, output.table(_BATCH_COLUMNS, rows, empty="no matches"))


def _values(matches: list[Json]) -> list[Any]:
    """The first values; of a feed's health its name."""
    return [match.get("value", match.get("feed")) for match in matches[:5]]


@groups.command("acknowledge")
def acknowledge_group(ctx: Context, group: GroupId) -> None:
    """Say that you take care of a group: nobody else is reminded."""
    document = ctx.obj.client.post("notifications", f"{_GROUPS}/{group}/acknowledge")
    ctx.obj.answer(document, output.details(document))


@groups.command("close")
def close_group(ctx: Context, group: GroupId) -> None:
    """Close a group, which is told; what matches next opens another."""
    document = ctx.obj.client.post("notifications", f"{_GROUPS}/{group}/close")
    ctx.obj.answer(document, output.details(document))


@inbox.command("list")
def list_inbox(
    ctx: Context,
    *,
    unread: Annotated[bool, typer.Option(help="Only what you have not read.")] = False,
    limit: Limit = 20,
) -> None:
    """List messages, the newest first."""
    chosen = "true" if unread else None
    documents = list(ctx.obj.client.items("notifications", _INBOX, most=limit, unread=chosen))
    rows = [
        (
            output.format_time(message["created_at"]),
            message["severity"],
            message["rule"],
            message["kind"],
            message["source"],
            message["match_count"],
            output.format_time(message["read_at"]),
            message["id"],
        )
        for message in documents
    ]
    ctx.obj.answer(documents, output.table(_INBOX_COLUMNS, rows, empty="no messages"))


@inbox.command("count")
def count_unread(ctx: Context) -> None:
    """Count what you have not read."""
    document = ctx.obj.client.get("notifications", f"{_INBOX}/count")
    ctx.obj.answer(document, output.details(document))


@inbox.command("read")
def mark_read(
    ctx: Context,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="The message's id.")],
    *,
    until: Annotated[bool, typer.Option(help="Mark all older messages, too.")] = False,
) -> None:
    """Mark a message as read, for you."""
    client = ctx.obj.client
    if until:
        document = client.post("notifications", f"{_INBOX}/read", until=message)
    else:
        document = client.post("notifications", f"{_INBOX}/{message}/read")
    ctx.obj.answer(document, output.details(document))

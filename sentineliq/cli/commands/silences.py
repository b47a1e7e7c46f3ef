"""`sentineliq silences` and `sentineliq digests`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import without_none

silences = CommandGroup("Silences: what nobody is told of for a while.")
digests = CommandGroup("Digests: what is told at due times.")

_SILENCES = "/v1/silences"
_DIGESTS = "/v1/digests"
_SILENCE_COLUMNS = ("state", "from", "until", "reason", "which", "author", "id")
_DIGEST_COLUMNS = ("name", "when", "zone", "enabled", "next due", "id")

SilenceId = Annotated[str, typer.Argument(metavar="SILENCE", help="The silence's id.")]
DigestReference = Annotated[str, typer.Argument(metavar="DIGEST", help="The digest's name or id.")]
FilterText = Annotated[
    str,
    typer.Argument(
        metavar="FILTER",
        help="Which matches, e.g. 'change.score < 50 && observable.value.under(\"example.com\")'.",
    ),
]
Starts = Annotated[
    str | None, typer.Option("--from", help="When it starts (RFC 3339); by default now.")
]
Reason = Annotated[str | None, typer.Option(help="Why, for those who ask later.")]
Ends = Annotated[str | None, typer.Option("--until", help="When it ends (RFC 3339).")]
Cron = Annotated[
    str | None, typer.Option(help='When it is due: five fields, e.g. "0 8 * * MON-FRI".')
]
Zone = Annotated[
    str | None, typer.Option("--timezone", help="The recipients' zone, e.g. Europe/Vienna.")
]
Channels = Annotated[
    list[str] | None,
    typer.Option("--channel", help="Send through this channel; you may repeat this option."),
]
Disabled = Annotated[bool, typer.Option(help="Leave it switched off for now.")]


@silences.command("list")
def list_silences(
    ctx: Context,
    *,
    active: Annotated[bool, typer.Option(help="Only those that hold something back now.")] = False,
) -> None:
    """List silences, the newest first."""
    chosen = "true" if active else None
    documents = list(ctx.obj.client.items("notifications", _SILENCES, active=chosen))
    rows = [
        (
            silence["state"],
            output.format_time(silence["starts_at"]),
            output.format_time(silence["ends_at"]),
            silence["reason"],
            silence["filter_sentence"],
            silence["author"],
            silence["id"],
        )
        for silence in documents
    ]
    ctx.obj.answer(documents, output.table(_SILENCE_COLUMNS, rows, empty="no silences"))


@silences.command("show")
def show_silence(ctx: Context, silence: SilenceId) -> None:
    """Show a silence, and how many matches it has held."""
    document = ctx.obj.client.get("notifications", f"{_SILENCES}/{silence}")
    ctx.obj.answer(document, output.details(document))


@silences.command("add")
def add_silence(
    ctx: Context,
    filter_: FilterText,
    *,
    reason: Annotated[str, typer.Option(help="Why, for those who ask later.")],
    until: Annotated[str, typer.Option(help="When it ends (RFC 3339).")],
    starts: Starts = None,
) -> None:
    """Tell nobody of what a filter matches, until an end."""
    body = without_none(
        {"filter": filter_, "reason": reason, "ends_at": until, "starts_at": starts}
    )
    document = ctx.obj.client.post("notifications", _SILENCES, body)
    ctx.obj.answer(document, output.details(document))


@silences.command("edit")
def edit_silence(
    ctx: Context, silence: SilenceId, *, reason: Reason = None, until: Ends = None
) -> None:
    """Change the reason or the end of a silence."""
    changes = _changes({"reason": reason, "ends_at": until})
    document = ctx.obj.client.patch("notifications", f"{_SILENCES}/{silence}", changes)
    ctx.obj.answer(document, output.details(document))


@silences.command("end")
def end_silence(ctx: Context, silence: SilenceId) -> None:
    """End a silence now."""
    document = ctx.obj.client.post("notifications", f"{_SILENCES}/{silence}/end")
    ctx.obj.answer(document, output.details(document))


@silences.command("preview")
def preview_silence(
    ctx: Context,
    filter_: FilterText,
    *,
    hours: Annotated[int, typer.Option(min=1, max=168, help="How far to look back.")] = 24,
) -> None:
    """Show what a silence would have held lately."""
    body: Json = {"filter": filter_, "hours": hours}
    document = ctx.obj.client.post("notifications", f"{_SILENCES}/preview", body)
    pairs = {name: value for name, value in document.items() if name != "examples"}
    ctx.obj.answer(document, output.details(pairs))


@digests.command("list")
def list_digests(ctx: Context) -> None:
    """List digests by name."""
    documents = list(ctx.obj.client.items("notifications", _DIGESTS))
    rows = [
        (
            digest["name"],
            digest["cron"],
            digest["timezone"],
            digest["enabled"],
            output.format_time(digest["next_due_at"]),
            digest["id"],
        )
        for digest in documents
    ]
    ctx.obj.answer(documents, output.table(_DIGEST_COLUMNS, rows, empty="no digests"))


@digests.command("show")
def show_digest(ctx: Context, digest: DigestReference) -> None:
    """Show a digest."""
    document = ctx.obj.client.find("notifications", _DIGESTS, digest)
    ctx.obj.answer(document, output.details(document))


@digests.command("add")
def add_digest(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the digest is called.")],
    *,
    cron: Annotated[str, typer.Option(help='When it is due, e.g. "0 8 * * MON-FRI".')],
    channel: Annotated[
        list[str], typer.Option(help="Send through this channel; you may repeat this option.")
    ],
    timezone: Zone = None,
    disabled: Disabled = False,
) -> None:
    """Add a digest; rules that name it are told of in it."""
    body = without_none(
        {
            "name": name,
            "cron": cron,
            "timezone": timezone,
            "channel_ids": _channel_ids(ctx.obj, channel),
            "enabled": False if disabled else None,
        }
    )
    document = ctx.obj.client.post("notifications", _DIGESTS, body)
    ctx.obj.answer(document, output.details(document))


@digests.command("edit")
def edit_digest(
    ctx: Context,
    digest: DigestReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    cron: Cron = None,
    timezone: Zone = None,
    channel: Channels = None,
) -> None:
    """Change a digest; what you do not name stays."""
    item = ctx.obj.client.resolve("notifications", _DIGESTS, digest)
    ids = _channel_ids(ctx.obj, channel) if channel else None
    changes = _changes({"name": name, "cron": cron, "timezone": timezone, "channel_ids": ids})
    document = ctx.obj.client.patch("notifications", f"{_DIGESTS}/{item.id}", changes)
    ctx.obj.answer(document, output.details(document))


@digests.command("enable")
def enable_digest(ctx: Context, digest: DigestReference) -> None:
    """Enable a digest."""
    _switch(ctx.obj, digest, enabled=True)


@digests.command("disable")
def disable_digest(ctx: Context, digest: DigestReference) -> None:
    """Disable a digest."""
    _switch(ctx.obj, digest, enabled=False)


@digests.command("delete")
def delete_digest(ctx: Context, digest: DigestReference) -> None:
    """Delete a digest that no rule names."""
    item = ctx.obj.client.resolve("notifications", _DIGESTS, digest)
    ctx.obj.client.delete("notifications", f"{_DIGESTS}/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))


def _switch(context: CommandContext, reference: str, *, enabled: bool) -> None:
    item = context.client.resolve("notifications", _DIGESTS, reference)
    path = f"{_DIGESTS}/{item.id}"
    changed = context.client.patch("notifications", path, {"enabled": enabled})
    context.answer(changed, output.cell(f"{changed['name']} is {'on' if enabled else 'off'}"))


def _channel_ids(context: CommandContext, references: list[str]) -> list[str]:
    client = context.client
    return [client.resolve("notifications", "/v1/channels", each).id for each in references]


def _changes(values: Json) -> Json:
    changes = without_none(values)
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    return changes

"""`sentineliq feeds retract|restore|delete`."""

from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.documents import RetractionCounts, decode
from sentineliq.cli.client.follow_run import follow_run
from sentineliq.cli.commands.feeds.following import Wait, show_run
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import FeedReference

retraction_commands = CommandGroup()

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only count what would be taken back, and change nothing.")
]


@retraction_commands.command("retract")
def retract(ctx: Context, run: Run, *, dry_run: DryRun = False, wait: Wait = None) -> None:
    """Take back what a run's document said.

    `restore` undoes it for 30 days.

    A list goes back to the document before; a stream keeps what its other documents name as well.
    No rule tells of it. A feed that is fetched is paused, so that it does not say the same again.
    """
    retraction = _request(ctx.obj, f"/v1/runs/{run}/retract", is_dry=dry_run)
    if retraction is not None:
        show_run(ctx.obj, retraction["run"], wait=wait, beside=retraction)


@retraction_commands.command("restore")
def restore(ctx: Context, run: Run, *, wait: Wait = None) -> None:
    """Say again what was taken back of a run; no rule tells of it.

    The run is the one that was taken back, or the one that took it back.
    """
    show_run(ctx.obj, ctx.obj.client.post("feeds", f"/v1/runs/{run}/restore"), wait=wait)


@retraction_commands.command("delete")
def delete(
    ctx: Context,
    feed: FeedReference,
    *,
    take_back: Annotated[
        bool,
        typer.Option(
            "--take-back", help="First take back all that it has said; that cannot be undone."
        ),
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Unsubscribe from a feed.

    Its indicators stay until they expire, unless you take them back.
    """
    client = ctx.obj.client
    item = client.resolve("feeds", "/v1/feeds", feed)
    if dry_run or take_back:
        path = f"/v1/feeds/{item.id}/retract"
        retraction = _request(ctx.obj, path, is_dry=dry_run)
        if retraction is None:
            return
        try:
            follow_run(client, retraction["run"])
        except KeyboardInterrupt:
            output.print_note(
                f"the feed is not deleted; what it has said is still taken back: `sentineliq feeds "
                f"follow {retraction['run']['id']}` waits for it"
            )
            raise typer.Exit(130) from None
    client.delete("feeds", f"/v1/feeds/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))


def _request(context: CommandContext, path: str, *, is_dry: bool) -> Json | None:
    """Request a retraction and say what it takes back; None after a dry run, which is answered."""
    retraction: Json = context.client.post("feeds", path, {"dry_run": is_dry})
    line = _line(decode(RetractionCounts, retraction), is_dry=is_dry)
    if is_dry:
        context.answer(retraction, output.cell(line))
        return None
    output.print_note(line)
    return retraction


def _line(retraction: RetractionCounts, *, is_dry: bool) -> str:
    """What is taken back, in words."""
    verb = "would be" if is_dry else "is"
    if retraction.retracts is None:
        parts = [f"{retraction.feed}: all that it has said {verb} taken back"]
    else:
        names = f"{retraction.listed:,} observables"
        parts = [f"{retraction.feed}: a document with {names} {verb} taken back"]
    if retraction.returns_to is not None:
        parts.append(f"the document of the run {retraction.returns_to} holds again")
    if retraction.kept_documents:
        parts.append(f"what {retraction.kept_documents:,} other documents name as well stays")
    if retraction.pauses:
        hint = f"`sentineliq feeds enable '{retraction.feed}'` fetches it again"
        parts.append(f"the feed is paused; {hint}")
    if retraction.restorable_until is not None:
        until = output.format_time(retraction.restorable_until)
        parts.append(f"`sentineliq feeds restore {retraction.retracts}` undoes it until {until}")
    return "; ".join(parts)

"""`sentineliq trends` and `sentineliq reference`."""

from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context

trends = CommandGroup()
reference = CommandGroup()

_COLUMNS: Final = ("announced", "kind", "subject", "count", "usually", "feeds")
_DATASET_COLUMNS: Final = ("name", "title", "data of", "checked", "bytes", "licence", "error")


@trends.command("trends")
def list_trends(
    ctx: Context,
    *,
    kind: Annotated[
        str | None, typer.Option(help="Only this kind: value, malware, as or registrar.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Only since this time, e.g. 2026-11-30T08:00:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
) -> None:
    """List bursts and rises, the newest first."""
    client = ctx.obj.client
    documents = list(client.items("observables", "/v1/trends", most=limit, kind=kind, since=since))
    empty = "no trends: they need several feeds, and some hours"
    ctx.obj.answer(documents, output.table(_COLUMNS, map(_row, documents), empty=empty))


def _row(trend: Json) -> tuple[Any, ...]:
    baseline = trend["baseline"]
    return (
        output.format_time(trend["announced_at"]),
        trend["kind"],
        trend["value"] or trend["subject"],
        trend["count"],
        None if baseline is None else f"{baseline:.1f}",
        trend["feeds"],
    )


@reference.command("reference")
def list_reference(ctx: Context) -> None:
    """List the reference data behind answers, its dates, licences."""
    documents = ctx.obj.client.get("observables", "/v1/reference")
    rows = [
        (
            dataset["name"],
            dataset["title"],
            output.format_time(dataset["obtained_at"]),
            output.format_time(dataset["checked_at"]),
            dataset["bytes"],
            dataset["licence"],
            dataset["error"],
        )
        for dataset in documents
    ]
    ctx.obj.answer(documents, output.table(_DATASET_COLUMNS, rows, empty="none is loaded yet"))

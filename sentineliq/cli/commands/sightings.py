"""`sentineliq sightings` and `sentineliq relations`: what people and sensors report."""

from pathlib import Path
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.client.value_input import read_values
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import Type, without_none

sightings = CommandGroup("Sightings: report where you saw values, withdraw reports.")
relations = CommandGroup("Relations: report how observables relate to each other.")

_PREFIX = "sighting--"

FirstSeen = Annotated[
    str | None, typer.Option(help="When it began, e.g. 2026-11-30T08:00:00Z; by default now.")
]
LastSeen = Annotated[
    str | None, typer.Option(help="When it ended, e.g. 2026-11-30T09:00:00Z; by default now.")
]


@sightings.command("add")
def report_sightings(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    values: Annotated[
        list[str] | None,
        typer.Argument(metavar="[VALUE]...", help="`-`, or none, reads them from standard input."),
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option("--file", exists=True, dir_okay=False, help="Values of a file, one a line."),
    ] = None,
    type_: Type = None,
    kind: Annotated[
        str, typer.Option(help="seen, confirmed-malicious or false-positive.")
    ] = "seen",
    id_: Annotated[
        str | None,
        typer.Option("--id", help="A UUID: a report that is sent again with it counts once."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How often each was seen.")] = 1,
    place: Annotated[str | None, typer.Option(help="Where: a sensor, a site.")] = None,
    note: Annotated[str | None, typer.Option(help="What colleagues should know of it.")] = None,
    first_seen: FirstSeen = None,
    last_seen: LastSeen = None,
) -> None:
    """Report that values were seen, are malicious, or are harmless."""
    settings = {
        "type": type_,
        "kind": kind,
        "id": id_,
        "count": count,
        "place": place,
        "note": note,
        "first_seen": first_seen,
        "last_seen": last_seen,
    }
    listed = read_values(values or (), file)
    if id_ is not None and len(listed) > 1:
        raise typer.BadParameter("an id is that of one report: name one value", param_hint="--id")
    results = []
    for start in range(0, len(listed), 1000):
        reports = [
            {"value": value, **without_none(settings)} for value in listed[start : start + 1000]
        ]
        body = {"sightings": reports}
        results += ctx.obj.client.post("observables", "/v1/sightings", body)["items"]
    rows = [
        (
            result["observable"]["value"],
            "reported before" if result["repeated"] else kind,
            result["observable"]["score"],
            result["id"],
        )
        for result in results
    ]
    ctx.obj.answer(results, output.table(("value", "report", "score", "id"), rows))


@sightings.command("withdraw")
def withdraw_sighting(
    ctx: Context,
    sighting: Annotated[
        str, typer.Argument(metavar="SIGHTING", help="The report's id, as `sightings add` shows.")
    ],
) -> None:
    """Withdraw a report that was wrong."""
    identity = sighting if sighting.startswith(_PREFIX) else f"{_PREFIX}{sighting}"
    ctx.obj.client.delete("observables", f"/v1/sightings/{identity}")
    ctx.obj.answer({"withdrawn": identity}, output.cell(f"{identity} is withdrawn"))


@relations.command("add")
def report_relation(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    from_: Annotated[str, typer.Argument(metavar="FROM", help="A value that is stored.")],
    kind: Annotated[
        str,
        typer.Argument(
            help="resolves-to, belongs-to, part-of, communicates-with, downloaded-from, "
            "same-report or related-to."
        ),
    ],
    to: Annotated[str, typer.Argument(metavar="TO", help="Another value that is stored.")],
    *,
    from_type: Annotated[str | None, typer.Option(help="What FROM is; guessed by default.")] = None,
    to_type: Annotated[str | None, typer.Option(help="What TO is; guessed by default.")] = None,
    first_seen: FirstSeen = None,
    last_seen: LastSeen = None,
) -> None:
    """Report what two observables have to do with each other.

    `sentineliq observables relations VALUE` lists what is recorded.
    """
    relation = {
        "from": from_,
        "kind": kind,
        "to": to,
        "from_type": from_type,
        "to_type": to_type,
        "first_seen": first_seen,
        "last_seen": last_seen,
    }
    body = {"relations": [without_none(relation)]}
    stored = ctx.obj.client.post("observables", "/v1/relations", body)["items"]
    lines = [output.cell(f"{item['from']} {kind} {item['to']}") for item in stored]
    ctx.obj.answer(stored, *lines)

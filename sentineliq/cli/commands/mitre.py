"""`sentineliq mitre`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.follow_load import follow_load, load_line
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import without_none
from shared.errors import InvalidInput
from shared.tenants import PUBLIC

mitre = CommandGroup("ATT&CK: releases and techniques.")

Domain = Annotated[
    str | None, typer.Option(help="The domain: enterprise-attack, mobile-attack or ics-attack.")
]
Version = Annotated[
    str | None, typer.Option(help="The release, e.g. 18.1; by default the current one.")
]

_RELEASE_COLUMNS = (
    "domain",
    "version",
    "current",
    "techniques",
    "against",
    "changes",
    "loaded",
)


@mitre.command("load")
def load_release(
    ctx: Context,
    source: Annotated[str | None, typer.Argument(metavar="FILE|URL")] = None,
    *,
    domain: Domain = None,
    version: Annotated[
        str | None,
        typer.Option(help="The release that it must be; names that of a STIX 2.0 bundle."),
    ] = None,
    activate: Annotated[
        bool,
        typer.Option("--activate", help="Make it current even when a newer release is loaded."),
    ] = False,
) -> None:
    """Load a release, or a bundle.

    A domain's release comes from MITRE's address, a bundle from a file or an address.
    """
    # ATT&CK is public knowledge: it belongs to the tenant public.
    with Client(ctx.obj.environment, PUBLIC) as client:
        if source is None or "://" in source:
            if source is None and domain is None:
                raise InvalidInput("name a file or an address, or a domain with --domain")
            body = {
                "domain": domain,
                "url": source,
                "version": version,
                "activate": activate or None,
            }
            load = client.post("mitre", "/v1/loads", without_none(body))
        else:
            path = Path(source)
            load = client.upload(
                "mitre",
                "/v1/loads/upload",
                path.read_bytes(),
                name=path.name,
                domain=domain,
                version=version,
                activate="true" if activate else None,
            )
        load = follow_load(client, load)
    ctx.obj.answer(load, output.cell(load_line(load)))


@mitre.command("releases")
def list_releases(ctx: Context, *, domain: Domain = None) -> None:
    """List the loaded releases, each with its changes."""
    releases = ctx.obj.client.get("mitre", "/v1/releases", domain=domain)["items"]
    rows = map(_release_row, releases)
    empty = "none yet: `sentineliq mitre load --domain enterprise-attack`"
    ctx.obj.answer(releases, output.table(_RELEASE_COLUMNS, rows, empty=empty))


def _release_row(release: Json) -> tuple[Any, ...]:
    changes = {
        kind: len(objects)
        for kind, objects in release["diff"].items()
        if isinstance(objects, list | dict) and objects
    }
    return (
        release["domain"],
        release["version"],
        release["current"],
        release["counts"].get("attack-pattern", 0),
        release["previous"],
        output.format_counts(changes) or None,
        output.format_time(release["loaded_at"]),
    )


@mitre.command("technique")
def show_technique(
    ctx: Context,
    attack_id: Annotated[
        str, typer.Argument(metavar="ID", help="The technique's id, e.g. T1059 or T1059.001.")
    ],
    *,
    domain: Domain = None,
    version: Version = None,
) -> None:
    """Show a technique."""
    path = f"/v1/techniques/{attack_id.upper()}"
    document = ctx.obj.client.get("mitre", path, domain=domain, version=version)
    ctx.obj.answer(document, output.details(document))


@mitre.command("search")
def search_techniques(
    ctx: Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT")],
    *,
    tactic: Annotated[
        str | None, typer.Option(help="Only this tactic, e.g. execution or TA0002.")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="Only this platform, e.g. Windows.")] = None,
    domain: Domain = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
) -> None:
    """Search techniques by text, the best match first."""
    page = ctx.obj.client.get(
        "mitre",
        "/v1/techniques",
        q=" ".join(text),
        limit=limit,
        tactic=tactic,
        platform=platform,
        domain=domain,
    )
    rows = [
        (technique["attack_id"], technique["name"], technique["tactics"], technique["platforms"])
        for technique in page["items"]
    ]
    columns = ("id", "name", "tactics", "platforms")
    ctx.obj.answer(page["items"], output.table(columns, rows, empty="no technique"))

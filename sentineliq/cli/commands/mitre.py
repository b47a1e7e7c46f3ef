"""`sentineliq mitre`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.follow_load import follow_load, follow_load_briefly, load_line
from sentineliq.cli.client.follow_run import RunUnfinished
from sentineliq.cli.context import UNFINISHED, CommandGroup, Context
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
    source: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|URL]", help="A bundle; or --domain."),
    ] = None,
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
    wait: Annotated[
        bool | None,
        typer.Option(
            "--wait/--no-wait",
            help="Wait to the end, or return at once. By default the command waits for a file, and "
            "four seconds for an address.",
        ),
    ] = None,
) -> None:
    """Load a release, or a bundle.

    A domain's release comes from MITRE's address, a bundle from a file or an address.
    """
    is_fetched = source is None or "://" in source
    # ATT&CK is public knowledge: it belongs to the tenant public.
    with Client(ctx.obj.environment, PUBLIC) as client:
        if source is None or is_fetched:
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
        if wait is False:
            line = f"{load['name']} is {load['state']}: `sentineliq mitre loads {load['id']}`"
            ctx.obj.answer(load, output.cell(line))
            return
        load = _followed(client, load, to_end=wait or not is_fetched)
    ctx.obj.answer(load, output.cell(load_line(load)))


def _followed(client: Client, load: Json, *, to_end: bool) -> Json:
    """A load as it ended.

    Raises:
        Exit: with 3, it is not at its end.
        RunFailed: it failed.
    """
    try:
        return follow_load(client, load) if to_end else follow_load_briefly(client, load)
    except RunUnfinished as unfinished:
        output.print_note(unfinished.message)
        raise typer.Exit(UNFINISHED) from None
    except KeyboardInterrupt:
        output.print_note(f"the load goes on; `sentineliq mitre loads {load['id']}` shows it")
        raise typer.Exit(130) from None


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


@mitre.command("loads")
def list_loads(
    ctx: Context,
    load: Annotated[
        str | None,
        typer.Argument(metavar="[LOAD]", help="The id of one; by default the last ones."),
    ] = None,
    *,
    before: Annotated[
        str | None,
        typer.Option(help="Only loads that were asked for before this time, 2026-11-30T08:00:00Z."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
) -> None:
    """List what was loaded, the newest first; or show one load."""
    with Client(ctx.obj.environment, PUBLIC) as client:
        if load is not None:
            document = client.get("mitre", f"/v1/loads/{load}")
            ctx.obj.answer(document, output.details(document))
            return
        documents = list(client.items("mitre", "/v1/loads", most=limit, before=before))
    rows = [
        (
            output.format_time(item["created_at"]),
            item["name"],
            item["state"],
            item["domain"],
            item["version"],
            (item["error"] or {}).get("message"),
            item["id"],
        )
        for item in documents
    ]
    columns = ("asked", "name", "state", "domain", "version", "error", "id")
    ctx.obj.answer(documents, output.table(columns, rows, empty="nothing was loaded yet"))


@mitre.command("sources")
def list_sources(ctx: Context) -> None:
    """List where releases come from."""
    documents = ctx.obj.client.get("mitre", "/v1/sources")
    rows = [
        (
            source["domain"],
            source["url"],
            source["enabled"],
            output.format_time(source["checked_at"]),
        )
        for source in documents
    ]
    ctx.obj.answer(documents, output.table(("domain", "address", "enabled", "checked"), rows))


@mitre.command("source")
def change_source(
    ctx: Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="E.g. enterprise-attack.")],
    *,
    url: Annotated[
        str | None, typer.Option(help="Another address, such as that of a mirror.")
    ] = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Look for releases there, or do not.")
    ] = None,
) -> None:
    """Change where the releases of a domain come from, as an operator."""
    changes = without_none({"url": url, "enabled": enabled})
    if not changes:
        raise typer.BadParameter("name --url, --enable or --disable")
    with Client(ctx.obj.environment, PUBLIC) as client:
        document = client.patch("mitre", f"/v1/sources/{domain}", changes)
    ctx.obj.answer(document, output.details(document))


@mitre.command("release")
def show_release(
    ctx: Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="E.g. enterprise-attack.")],
    version: Annotated[str, typer.Argument(metavar="VERSION", help="E.g. 18.1.")],
    *,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", help="Write its STIX bundle to this file.")
    ] = None,
) -> None:
    """Show a release with its changes, or write its bundle to a file."""
    path = f"/v1/releases/{domain}/{version}"
    if bundle is not None:
        content = ctx.obj.client.download("mitre", f"{path}/bundle")
        bundle.write_bytes(content)
        data = {"file": str(bundle), "bytes": len(content)}
        ctx.obj.answer(data, output.cell(f"{bundle}: {len(content):,} bytes"))
        return
    document = ctx.obj.client.get("mitre", path)
    ctx.obj.answer(document, output.details(document))


@mitre.command("navigator")
def export_layer(
    ctx: Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="E.g. enterprise-attack.")],
    techniques: Annotated[
        list[str], typer.Argument(metavar="ID...", help="The techniques to mark, e.g. T1059.")
    ],
    *,
    name: Annotated[str | None, typer.Option(help="The layer's name.")] = None,
    version: Version = None,
) -> None:
    """Print a layer for the ATT&CK Navigator with techniques marked."""
    path = f"/v1/releases/{domain}/navigator"
    layer = ctx.obj.client.get("mitre", path, technique=techniques, name=name, version=version)
    output.print_json(layer)


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
def search_techniques(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT]...", help="Words; none lists all.")
    ] = None,
    *,
    tactic: Annotated[
        str | None, typer.Option(help="Only this tactic, e.g. execution or TA0002.")
    ] = None,
    platform: Annotated[str | None, typer.Option(help="Only this platform, e.g. Windows.")] = None,
    parent: Annotated[
        str | None, typer.Option(help="Only the sub-techniques of this technique, e.g. T1059.")
    ] = None,
    inactive: Annotated[
        bool, typer.Option("--inactive", help="Also techniques that are revoked or deprecated.")
    ] = False,
    domain: Domain = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="Show at most so many.")] = 20,
) -> None:
    """Search techniques by text, the best match first."""
    page = ctx.obj.client.get(
        "mitre",
        "/v1/techniques",
        q=" ".join(text or ()) or None,
        limit=limit,
        tactic=tactic,
        platform=platform,
        parent=parent,
        inactive="true" if inactive else None,
        domain=domain,
    )
    rows = [
        (technique["attack_id"], technique["name"], technique["tactics"], technique["platforms"])
        for technique in page["items"]
    ]
    columns = ("id", "name", "tactics", "platforms")
    ctx.obj.answer(page["items"], output.table(columns, rows, empty="no technique"))

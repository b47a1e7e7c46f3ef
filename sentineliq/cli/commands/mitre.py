"""`sentineliq mitre`: ATT&CK, loaded and looked up."""

import time
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.follow_run import RunFailed, explained
from sentineliq.cli.context import CommandContext, command
from shared.database import PUBLIC
from shared.errors import InvalidInput

mitre = typer.Typer(help="ATT&CK: releases and techniques.", no_args_is_help=True)

_POLL: Final = 0.1

Domain = Annotated[str | None, typer.Option(help="enterprise-attack, mobile-attack or ics-attack.")]
Version = Annotated[
    str | None, typer.Option(help="For instance 18.1; the current release when not given.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(mitre, name="mitre")


@command(mitre, "load")
def load(
    context: CommandContext,
    source: Annotated[str | None, typer.Argument(metavar="[FILE|URL]")] = None,
    *,
    domain: Domain = None,
    activate: Annotated[
        bool, typer.Option("--activate", help="Current even when a newer release is there.")
    ] = False,
) -> None:
    """Load a release: of a domain from MITRE's address, or a bundle from a file or an address."""
    # ATT&CK is everybody's: it is kept in the tenant public.
    with Client(context.environment, PUBLIC) as client:
        if source is None or "://" in source:
            if source is None and domain is None:
                raise InvalidInput("name a file or an address, or a domain with --domain")
            wanted = {"domain": domain, "url": source, "activate": activate}
            asked = client.post(
                "mitre", "/v1/loads", {key: value for key, value in wanted.items() if value}
            )
        else:
            path = Path(source)
            flags = {"domain": domain, "activate": "true" if activate else None}
            asked = client.upload(
                "mitre", "/v1/loads/upload", path.read_bytes(), name=path.name, **flags
            )
        done = follow_load(client, asked)
    context.answer(done, output.cell(load_line(done)))


def follow_load(client: Client, load: Json, within: float = 600.0) -> Json:
    """Wait until a load has ended; it as it ended.

    Raises:
        RunFailed: it failed, with the place in the bundle; or it takes longer than `within` seconds.
    """
    deadline = time.monotonic() + within
    while load["state"] in ("queued", "running"):
        if time.monotonic() > deadline:
            raise RunFailed(
                f"loading {load['name']} is still {load['state']}; `sentineliq doctor` may know why"
            )
        time.sleep(_POLL)
        load = client.get("mitre", f"/v1/loads/{load['id']}")
    if load["state"] == "failed":
        raise RunFailed(f"{load['name']}: {explained(load['error'])}")
    return load


def load_line(load: Json) -> str:
    """What a load brought, for people."""
    result = load["result"] or {}
    if load["state"] == "unchanged":
        return f"{load['name']}: the same as last time: nothing to do"
    facts = f"{result['domain']} {result['version']}, {result['techniques']:,} techniques"
    changes = output.counted(
        {kind: count for kind, count in (result["changes"] or {}).items() if count}
    )
    current = "it is the current release" if result["current"] else "a newer release stays current"
    return f"{load['name']}: {facts} ({changes or 'no changes'}); {current}"


@command(mitre, "releases")
def releases(context: CommandContext, *, domain: Domain = None) -> None:
    """The releases that are there, each with what it changed."""
    found = context.client.get("mitre", "/v1/releases", domain=domain)["items"]
    columns = ("domain", "version", "current", "techniques", "against", "changes", "loaded")
    context.answer(
        found,
        output.table(columns, map(_release_row, found), empty="none yet: `sentineliq mitre load`"),
    )


def _release_row(release: Json) -> tuple[Any, ...]:
    diff = {
        kind: len(found)
        for kind, found in release["diff"].items()
        if isinstance(found, list | dict) and found
    }
    return (
        release["domain"],
        release["version"],
        release["current"],
        release["counts"].get("attack-pattern", 0),
        release["previous"],
        output.counted(diff) or None,
        output.moment(release["loaded_at"]),
    )


@command(mitre, "technique")
def technique(
    context: CommandContext,
    attack_id: Annotated[
        str, typer.Argument(metavar="ID", help="For instance T1059 or T1059.001.")
    ],
    *,
    domain: Domain = None,
    version: Version = None,
) -> None:
    """One technique."""
    found = context.client.get(
        "mitre", f"/v1/techniques/{attack_id.upper()}", domain=domain, version=version
    )
    context.answer(found, output.details(found))


@command(mitre, "search")
def search(
    context: CommandContext,
    text: Annotated[list[str], typer.Argument(metavar="TEXT...")],
    *,
    tactic: Annotated[str | None, typer.Option(help="For instance execution or TA0002.")] = None,
    platform: Annotated[str | None, typer.Option(help="For instance Windows.")] = None,
    domain: Domain = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
) -> None:
    """Techniques by text, the best match first."""
    filters = {"tactic": tactic, "platform": platform, "domain": domain}
    page = context.client.get("mitre", "/v1/techniques", q=" ".join(text), limit=limit, **filters)
    rows = [
        (one["attack_id"], one["name"], one["tactics"], one["platforms"]) for one in page["items"]
    ]
    context.answer(
        page["items"],
        output.table(("id", "name", "tactics", "platforms"), rows, empty="no technique"),
    )

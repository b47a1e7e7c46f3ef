"""What a feed is authorised by, asked for so that no secret stands on a command line."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from sentineliq.cli.client.api import Json

VARIABLE: Final = "SENTINELIQ_FEED_SECRET"
"""Holds the secret where nobody can be asked."""
_SECRETS: Final = {"basic": "password", "bearer": "token", "header": "value", "query": "value"}

Kind = Annotated[
    str | None,
    typer.Option(
        "--auth",
        help=f"basic, bearer, header, query or certificate; the secret is asked for, or {VARIABLE}.",
    ),
]
Named = Annotated[
    str | None,
    typer.Option("--auth-name", help="The user name, or the header's or parameter's name."),
]
Chain = Annotated[
    Path | None,
    typer.Option("--certificate", exists=True, help="PEM file of a client certificate."),
]
Key = Annotated[Path | None, typer.Option("--key", exists=True, help="PEM file of its key.")]


def auth(
    kind: str | None, name: str | None, chain: Path | None = None, key: Path | None = None
) -> Json | None:
    """Credentials as the API takes them; None when none are wanted."""
    if kind is None:
        return None
    if kind == "certificate":
        if chain is None or key is None:
            raise typer.BadParameter("give --certificate and --key", param_hint="--auth")
        return {"kind": kind, "chain": chain.read_text(), "key": key.read_text()}
    if kind not in _SECRETS:
        raise typer.BadParameter(
            f"{kind!r} is none of {', '.join([*_SECRETS, 'certificate'])}", param_hint="--auth"
        )
    fields = {"kind": kind, _SECRETS[kind]: _secret(kind)}
    if kind != "bearer":
        if name is None:
            raise typer.BadParameter(f"{kind} needs a name", param_hint="--auth-name")
        fields["username" if kind == "basic" else "name"] = name
    return fields


def _secret(kind: str) -> str:
    if secret := os.environ.get(VARIABLE):
        return secret
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"nobody can be asked for the secret here; set {VARIABLE}", param_hint="--auth"
        )
    return str(typer.prompt(f"{_SECRETS[kind]} ({kind})", hide_input=True, err=True))

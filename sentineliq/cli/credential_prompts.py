"""Asks for secrets, so that none stands on a command line."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from sentineliq.cli.client.api import Json

FEED_VARIABLE: Final = "SENTINELIQ_FEED_SECRET"
"""Holds a feed's secret where there is no terminal."""
_SECRET_FIELDS: Final = {
    "basic": "password",
    "bearer": "token",
    "header": "value",
    "query": "value",
}

AuthKind = Annotated[
    str | None,
    typer.Option(
        "--auth",
        help="How the feed authenticates you: basic, bearer, header, query or certificate. You "
        f"are asked for the secret, unless {FEED_VARIABLE} holds it.",
    ),
]
AuthName = Annotated[
    str | None,
    typer.Option(
        "--auth-name", help="Your user name, or the name of the header or the query parameter."
    ),
]
CertificateFile = Annotated[
    Path | None,
    typer.Option("--certificate", exists=True, help="The PEM file of a client certificate."),
]
KeyFile = Annotated[
    Path | None, typer.Option("--key", exists=True, help="The PEM file of the certificate's key.")
]


def feed_credentials(
    kind: str | None, name: str | None, certificate: Path | None = None, key: Path | None = None
) -> Json | None:
    """Credentials as the feeds API takes them; None without a kind."""
    if kind is None:
        return None
    if kind == "certificate":
        if certificate is None or key is None:
            raise typer.BadParameter("give --certificate and --key", param_hint="--auth")
        return {"kind": kind, "chain": certificate.read_text(), "key": key.read_text()}
    if kind not in _SECRET_FIELDS:
        kinds = ", ".join([*_SECRET_FIELDS, "certificate"])
        raise typer.BadParameter(f"{kind!r} is none of {kinds}", param_hint="--auth")
    field = _SECRET_FIELDS[kind]
    secret = prompt_secret(FEED_VARIABLE, field, f"{field} ({kind})", param_hint="--auth")
    credentials = {"kind": kind, field: secret}
    if kind != "bearer":
        if name is None:
            raise typer.BadParameter(f"{kind} needs a name", param_hint="--auth-name")
        credentials["username" if kind == "basic" else "name"] = name
    return credentials


def prompt_secret(variable: str, field: str, prompt: str, *, param_hint: str) -> str:
    """A secret from an environment variable, or typed at a prompt without echo.

    Raises:
        BadParameter: there is neither the variable nor a terminal.
    """
    if secret := os.environ.get(variable):
        return secret
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"there is no terminal to ask for the {field}: set {variable}", param_hint=param_hint
        )
    return str(typer.prompt(prompt, hide_input=True, err=True))

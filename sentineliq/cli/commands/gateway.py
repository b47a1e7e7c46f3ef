"""`sentineliq gateway`."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from sentineliq.cli import output
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.onboarding.first_link import MINUTES, make_first_link
from shared.service_names import SERVICES

gateway = CommandGroup("The gateway: the installation's one address.")


class Proxy(StrEnum):
    """Programs for which the routes can be written."""

    nginx = "nginx"
    envoy = "envoy"


@gateway.command("edge")
def write_edge(
    ctx: Context,
    proxy: Annotated[Proxy, typer.Argument(help="The program that reads the settings.")],
    *,
    server_name: Annotated[
        str, typer.Option(help="The name that clients use; `_` stands for any.")
    ] = "_",
) -> None:
    """Write the gateway's routes for a proxy in front of it.

    The proxy sends requests with a token straight to the services, which verify it. All others go
    to the gateway.
    """
    from services.gateway.routing.proxy_rules import (  # noqa: PLC0415  # no other command needs it
        envoy_settings,
        nginx_settings,
    )

    settings = ctx.obj.settings
    urls: dict[str, str] = {name: settings.service_url(name) for name in SERVICES}
    if proxy is Proxy.nginx:
        text = nginx_settings(urls, server_name)
    else:
        text = json.dumps(envoy_settings(urls, server_name), indent=2) + "\n"
    typer.echo(text, nl=False)


@gateway.command("first-link")
def print_first_link(
    ctx: Context,
    *,
    minutes: Annotated[
        int, typer.Option(min=1, max=1440, help="How long the link is valid.")
    ] = MINUTES,
) -> None:
    """Print a link that creates the account of an operator.

    It is valid once, for ten minutes.
    """
    created = make_first_link(ctx.obj.client, minutes)
    ctx.obj.answer(created, output.cell(created["link"]))
    until = output.format_time(created["invitation"]["expires_at"])
    output.print_note(f"operator of {created['invitation']['tenant']}; valid once, until {until}")

"""`sentineliq auth`."""

import os
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandGroup, Context
from shared.errors import NotFound

auth = CommandGroup("Identity providers: who may sign in there, and why.")

_SECRET_VARIABLE = "SENTINELIQ_CLIENT_SECRET"  # noqa: S105  # the name of a variable
_OUTCOMES = ("claim", "value", "role", "match", "why")


@auth.command("explain")
def explain_person(
    ctx: Context,
    login: Annotated[str, typer.Argument(metavar="PERSON", help="A login, or a person's id.")],
) -> None:
    """Show a person's claims, each rule, and why it did not match."""
    identities = ctx.obj.client.get("gateway", f"/v1/members/{_person_id(ctx, login)}/identities")
    blocks: list[Any] = []
    for identity in identities:
        role = identity["role"] or "no role"
        blocks.append(output.cell(f"{identity['issuer']} as {identity['subject']}: {role}"))
        claims = [(name, output.cell(value)) for name, value in identity["claims"].items()]
        blocks.append(output.table(("claim", "value"), claims))
        rows = [
            (
                outcome["claim"],
                outcome["value"],
                outcome["role"],
                "yes" if outcome["is_match"] else "no",
                outcome["reason"],
            )
            for outcome in identity["outcomes"]
        ]
        blocks.append(output.table(_OUTCOMES, rows, empty="the provider has no rules yet"))
    if not identities:
        blocks.append(output.cell(f"no identity provider knows {login}"))
    ctx.obj.answer(identities, *blocks)


@auth.command("providers")
def list_providers(ctx: Context) -> None:
    """List the identity providers of the tenant."""
    items = ctx.obj.client.get("gateway", "/v1/providers")
    rows = [
        (item["id"], item["name"], item["issuer"], item["client_id"], str(len(item["rules"])))
        for item in items
    ]
    columns = ("id", "name", "issuer", "client", "rules")
    ctx.obj.answer(items, output.table(columns, rows, empty="there is no provider yet"))


@auth.command("add")
def add_provider(
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the provider is called.")],
    issuer: Annotated[str, typer.Argument(help="Its issuer: an address.")],
    client_id: Annotated[str, typer.Argument(help="Our name at the provider.")],
    *,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLAIM=VALUE:ROLE",
            help="A rule by which a role follows; you may repeat this option.",
        ),
    ] = None,
) -> None:
    """Add an identity provider.

    SENTINELIQ_CLIENT_SECRET has the secret that the provider gave us.
    """
    body = {
        "name": name,
        "issuer": issuer,
        "client_id": client_id,
        "client_secret": os.environ.get(_SECRET_VARIABLE),
        "rules": [_rule(text) for text in rule or ()],
    }
    created = ctx.obj.client.post("gateway", "/v1/providers", body)
    base = ctx.obj.client.url("gateway")
    ctx.obj.answer(created, output.cell(created["id"]))
    callback = f"{base}/v1/sign-in/provider/callback?provider={created['id']}"
    output.print_note(f"register this address at the provider: {callback}")


def _rule(text: str) -> Json:
    condition, _, role = text.rpartition(":")
    claim, separator, value = condition.partition("=")
    if not separator or not role:
        raise typer.BadParameter(f"{text!r}: write CLAIM=VALUE:ROLE", param_hint="--rule")
    return {"claim": claim, "value": value, "role": role}


def _person_id(ctx: Context, reference: str) -> str:
    for member in ctx.obj.client.items("gateway", "/v1/members"):
        if reference.lower() in (member["login"], member["person_id"]):
            return str(member["person_id"])
    if reference.count("-") == 4:
        return reference
    raise NotFound(f"the tenant has no member {reference}; a person who was refused has an id")

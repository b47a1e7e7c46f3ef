"""`sentineliq quotas`."""

from typing import Annotated, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from shared.errors import InvalidInput, NotFound
from shared.service_names import ServiceName

quotas = CommandGroup("Quotas: how much a tenant may use.")

_SERVICES: Final[tuple[ServiceName, ...]] = (
    "feeds",
    "observables",
    "notifications",
    "scheduler",
    "gateway",
)
_PATH: Final = "/v1/quotas"
_COLUMNS: Final = ("tenant", "service", "quota", "used", "limit", "set", "free at")


@quotas.command("list")
def list_quotas(
    ctx: Context,
    *,
    tenant: Annotated[
        str | None, typer.Option("--of", help="Another tenant's, for operators.")
    ] = None,
) -> None:
    """List quotas and what is used of them.

    Operators also see the limits that they have set for other tenants.
    """
    documents = _documents(ctx.obj, tenant)
    rows = [
        (
            document["tenant"],
            document["service"],
            document["name"],
            document["used"],
            document["limit"],
            "default" if document["is_default"] else "set",
            output.format_time(document["free_at"]),
        )
        for document in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no quotas"))


@quotas.command("set")
def set_quota(
    ctx: Context,
    tenant: Annotated[str, typer.Argument(metavar="TENANT", help="Whose quota it is.")],
    name: Annotated[str, typer.Argument(metavar="QUOTA", help="As `quotas list` names it.")],
    limit: Annotated[str, typer.Argument(metavar="LIMIT", help="A number, or `default`.")],
) -> None:
    """Set a limit of a tenant, as an operator.

    What the tenant has already stays, also if that is more.
    """
    if limit != "default" and not limit.isdecimal():
        raise InvalidInput("A limit is a number, or `default`.", field="limit")
    service = _service_of(ctx.obj, name)
    body: Json = {"limit": None if limit == "default" else int(limit)}
    document = ctx.obj.client.put(service, f"{_PATH}/{tenant}/{name}", body)
    shown = "no limit" if document["limit"] is None else output.cell(document["limit"])
    ctx.obj.answer(
        document,
        output.cell(f"{tenant} may have {shown} {document['unit']}; {document['used']:,} are used"),
    )


def _documents(context: CommandContext, tenant: str | None) -> list[Json]:
    documents = []
    for service in _SERVICES:
        page = context.client.get(service, _PATH, tenant=tenant)
        documents += [{"service": service, **item} for item in page["items"]]
    return sorted(documents, key=lambda document: document["tenant"])


def _service_of(context: CommandContext, name: str) -> ServiceName:
    """The service that has a quota.

    Raises:
        NotFound: none has.
    """
    names: list[str] = []
    for service in _SERVICES:
        own = {item["name"] for item in context.client.get(service, _PATH)["items"]}
        if name in own:
            return service
        names += sorted(own)
    raise NotFound(f"There is no quota {name!r}; there are {', '.join(names)}.")

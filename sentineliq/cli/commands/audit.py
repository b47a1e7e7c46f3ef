"""`sentineliq audit`."""

from datetime import datetime
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.context import CommandGroup, Context
from shared.errors import SentinelIQError
from shared.service_names import SERVICES, ServiceName

audit = CommandGroup("Audit: who changed what, and whether the records are whole.")

_COLUMNS = ("service", "when", "tenant", "actor", "action", "target", "fields")
_CHAIN_COLUMNS = ("service", "tenant", "records", "from", "to", "digest", "broken at")


class BrokenAudit(SentinelIQError):
    """Records of the audit were changed, or are missing."""

    code = "broken-audit"


@audit.command("list")
def list_records(
    ctx: Context,
    *,
    actor: Annotated[str | None, typer.Option(help="Only of this actor.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, e.g. feeds.update.")] = None,
    target: Annotated[str | None, typer.Option(help="Only what was done to this id.")] = None,
    of: Annotated[
        str | None, typer.Option("--of", help="Only of another tenant, for operators.")
    ] = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Of all tenants, for operators.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
) -> None:
    """List what was changed in the tenant, newest first."""
    is_own = of is None and not all_tenants
    filters = {"actor": actor, "action": action, "target": target, "tenant": of, "own": is_own}
    documents = [
        {"service": service, **item}
        for service in SERVICES
        for item in ctx.obj.client.items(service, "/v1/audit", most=limit, **filters)
    ]
    documents.sort(key=lambda item: datetime.fromisoformat(item["recorded_at"]), reverse=True)
    del documents[limit:]
    rows = [
        (
            item["service"],
            output.format_time(item["recorded_at"]),
            item["tenant"],
            item["actor"],
            item["action"],
            item["target"],
            ", ".join(item["changes"]),
        )
        for item in documents
    ]
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="nothing was changed"))


@audit.command("verify")
def verify_chains(ctx: Context) -> None:
    """Check that no record of the audit was changed or taken out.

    Keep the digests: a chain that ends before one of yours has lost its newest records.
    """
    documents: list[dict[str, Any]] = []
    for service in SERVICES:
        documents += _chains(ctx, service)
    rows = [
        (
            item["service"],
            item["tenant"],
            item["records"],
            item["first"],
            item["last"],
            item["digest"],
            item["broken_at"],
        )
        for item in documents
    ]
    ctx.obj.answer(documents, output.table(_CHAIN_COLUMNS, rows, empty="no records yet"))
    broken = [item for item in documents if item["broken_at"] is not None]
    if broken:
        places = ", ".join(
            f"{item['service']}/{item['tenant']} at {item['broken_at']}" for item in broken
        )
        raise BrokenAudit(f"records were changed, or are missing: {places}")


def _chains(ctx: Context, service: ServiceName) -> list[dict[str, Any]]:
    chains: list[dict[str, Any]] = ctx.obj.client.get(service, "/v1/audit/chains")
    return [{"service": service, **chain} for chain in chains]

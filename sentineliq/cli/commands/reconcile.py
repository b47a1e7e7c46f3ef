"""`sentineliq reconcile`."""

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.parameters import Service, chosen_services
from shared.tenants import PUBLIC

reconcile = CommandGroup()


@reconcile.command("reconcile")
def reconcile_services(ctx: Context, *, service: Service = None) -> None:
    """Send again what the queues have lost, as an operator.

    The services do so by themselves every few seconds; this does it now.
    """
    results: dict[str, Json] = {}
    with Client(ctx.obj.environment, PUBLIC) as client:
        for name in chosen_services(service):
            results[name] = client.post(name, "/v1/reconcile")
    rows = [(name, output.to_json(result)) for name, result in results.items()]
    ctx.obj.answer(results, output.table(("service", "result"), rows))

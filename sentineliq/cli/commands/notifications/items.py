"""What the commands of rules, channels and deliveries share."""

from typing import Annotated, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client
from sentineliq.cli.context import CommandContext

RULES: Final = "/v1/rules"
CHANNELS: Final = "/v1/channels"
DELIVERIES: Final = "/v1/deliveries"

Disabled = Annotated[
    bool, typer.Option("--disabled", help="Add it switched off; `enable` switches it on.")
]


def channel_ids(client: Client, references: list[str]) -> list[str]:
    """The ids of channels that a person names."""
    return [client.resolve("notifications", CHANNELS, reference).id for reference in references]


def switch_item(context: CommandContext, path: str, reference: str, *, enabled: bool) -> None:
    """Switch a rule or a channel on or off."""
    item = context.client.resolve("notifications", path, reference)
    changed = context.client.patch("notifications", f"{path}/{item.id}", {"enabled": enabled})
    context.answer(changed, output.cell(f"{changed['name']} is {'on' if enabled else 'off'}"))


def delete_item(context: CommandContext, path: str, reference: str) -> None:
    """Delete a rule or a channel."""
    item = context.client.resolve("notifications", path, reference)
    context.client.delete("notifications", f"{path}/{item.id}")
    context.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))

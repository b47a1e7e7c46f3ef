"""`sentineliq notifications`."""

from sentineliq.cli.commands.notifications.channels import channels
from sentineliq.cli.commands.notifications.deliveries import deliveries
from sentineliq.cli.commands.notifications.rules import rules
from sentineliq.cli.context import CommandGroup

__all__ = ["notifications"]

notifications = CommandGroup("Rules, channels and deliveries.")
notifications.add_typer(rules, name="rules")
notifications.add_typer(channels, name="channels")
notifications.add_typer(deliveries, name="deliveries")

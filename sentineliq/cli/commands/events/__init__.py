"""`sentineliq events`."""

from sentineliq.cli.commands.events.log import log_commands
from sentineliq.cli.commands.events.parked import parked
from sentineliq.cli.context import CommandGroup

__all__ = ["events"]

events = CommandGroup("Events that the services publish.")
events.add_typer(log_commands)
events.add_typer(parked, name="parked")

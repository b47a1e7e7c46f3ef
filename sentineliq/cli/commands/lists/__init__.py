"""`sentineliq lists`."""

from sentineliq.cli.commands.lists.consumers import consumers, holder_commands
from sentineliq.cli.commands.lists.settings import setting_commands
from sentineliq.cli.commands.lists.versions import version_commands
from sentineliq.cli.context import CommandGroup

__all__ = ["lists"]

lists = CommandGroup("Lists: what devices and tools block, who has it, and why.")
for _commands in (setting_commands, version_commands, holder_commands):
    lists.add_typer(_commands)
lists.add_typer(consumers, name="consumers")

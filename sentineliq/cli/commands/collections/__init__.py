"""`sentineliq collections`."""

from sentineliq.cli.commands.collections.pushes import pushes
from sentineliq.cli.commands.collections.settings import collections

__all__ = ["collections"]

collections.add_typer(pushes, name="pushes")

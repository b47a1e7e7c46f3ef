"""`sentineliq feeds` and `sentineliq ingest`."""

from sentineliq.cli.commands.feeds.catalog import catalog_commands
from sentineliq.cli.commands.feeds.ingest import ingest
from sentineliq.cli.commands.feeds.preview import preview_commands
from sentineliq.cli.commands.feeds.retractions import retraction_commands
from sentineliq.cli.commands.feeds.runs import run_commands
from sentineliq.cli.commands.feeds.settings import setting_commands
from sentineliq.cli.commands.feeds.subscriptions import subscription_commands
from sentineliq.cli.context import CommandGroup

__all__ = ["feeds", "ingest"]

feeds = CommandGroup("Feeds: subscribe, fetch, preview, watch their health.")
for _commands in (
    subscription_commands,
    setting_commands,
    run_commands,
    retraction_commands,
    catalog_commands,
    preview_commands,
):
    feeds.add_typer(_commands)

"""The command line put together."""

import typer

from sentineliq.cli.commands import (
    dead,
    doctor,
    enrichers,
    enrichments,
    events,
    mitre,
    notifications,
    observables,
    policies,
    schedules,
    tokens,
    up,
)
from sentineliq.cli.commands.feeds import catalog, preview, subscriptions

app = typer.Typer(
    help="Threat-intelligence feeds in, explained observables out, alerts within a second.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

up.register(app)
subscriptions.register(app)
catalog.register()
preview.register()
observables.register(app)
enrichments.register(app)
enrichers.register(app)
policies.register(app)
mitre.register(app)
schedules.register(app)
notifications.register(app)
events.register(app)
dead.register(app)
tokens.register(app)
doctor.register(app)

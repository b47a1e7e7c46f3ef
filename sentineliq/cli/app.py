"""The command line put together."""

import typer

from sentineliq.cli import (
    catalogue,
    dead,
    doctor,
    enrichers,
    enrichment,
    events,
    feeds,
    mitre,
    notifications,
    observables,
    policies,
    reading,
    schedules,
    stack,
    tokens,
)

app = typer.Typer(
    help="Threat-intelligence feeds in, explained observables out, alerts within a second.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

stack.register(app)
feeds.register(app)
catalogue.register()
reading.register()
observables.register(app)
enrichment.register(app)
enrichers.register(app)
policies.register(app)
mitre.register(app)
schedules.register(app)
notifications.register(app)
events.register(app)
dead.register(app)
tokens.register(app)
doctor.register(app)

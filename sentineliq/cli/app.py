"""The command line: which commands there are."""

import typer

from sentineliq.cli.deferred import DeferredGroup


class RootGroup(DeferredGroup):
    """The commands; a test compares each help with the command's own."""

    deferred = (
        ("up", "stack:up", "Start everything on this machine; Ctrl-C stops it."),
        ("demo", "demo:demo", "Show the whole way once: feeds, scores, ATT&CK, a webhook."),
        ("ingest", "feeds:ingest", "Ingest a file or an address and wait until it is stored."),
        ("feeds", "feeds:feeds", "Feeds: subscribe, fetch, preview, watch their health."),
        ("lookup", "observables:lookup", "Look up values."),
        ("observables", "observables:observables", "Observables: look up, list, count, explain."),
        ("enrich", "enrichment:enrich", "Ask enrichers about values and show their answers."),
        ("enrichments", "enrichment:enrichments", "Enrichment jobs: follow, list, cancel."),
        ("enrichers", "enrichers:enrichers", "Remote enrichers: keys, limits, queues."),
        ("policies", "policies:policies", "Policies: which observables are enriched unasked."),
        ("mitre", "mitre:mitre", "ATT&CK: releases and techniques."),
        ("schedules", "schedules:schedules", "Schedules: tasks that run by the clock."),
        ("notifications", "notifications:notifications", "Rules, channels and deliveries."),
        ("events", "events:events", "Events that the services publish."),
        ("dead", "dead:dead", "Dead letters: records that no consumer could handle."),
        ("consumers", "consumers:consumers", "Consumers: halted partitions, and gaps in logs."),
        ("audit", "audit:audit", "Audit: who changed what, and whether the records are whole."),
        ("login", "sign_in:login", "Sign in to a gateway; the commands act as you from then on."),
        ("logout", "sign_in:logout", "End the session of `sentineliq login`, and forget it."),
        ("members", "people:members", "Members of the tenant: list, change, remove."),
        ("invite", "people:invite", "Print a link that makes a person a member of the tenant."),
        ("keys", "keys:keys", "API keys: what programs sign in with."),
        ("sessions", "sessions:sessions", "Your sessions: where you are signed in."),
        ("tokens", "tokens:tokens", "Tokens for the APIs."),
        ("quotas", "quotas:quotas", "Quotas: how much a tenant may use."),
        ("secrets", "secrets:secrets", "The secrets of this machine's stack: replace, list, end."),
        ("gateway", "gateway:gateway", "The gateway: the installation's one address."),
        ("doctor", "doctor:doctor", "Check every component and say what to do next."),
    )


app = typer.Typer(
    cls=RootGroup,
    help="Threat-intelligence feeds in, explained observables out, alerts within a second.",
    no_args_is_help=True,
    # Plain help: rich would double the time that `--help` takes.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def sentineliq() -> None:
    """Make Typer build a group; the commands stand in `RootGroup`."""

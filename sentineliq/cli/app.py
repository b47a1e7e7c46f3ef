"""The command line: which commands there are."""

from typing import Annotated

import typer

from sentineliq.cli.deferred import DeferredGroup


class RootGroup(DeferredGroup):
    """The commands; a test compares each help with the command's own."""

    deferred = (
        ("up", "stack:up", "Start everything on this machine; Ctrl-C stops it."),
        ("demo", "demo:demo", "Show the whole way once: feeds, scores, ATT&CK, a webhook."),
        ("ingest", "feeds:ingest", "Ingest a file or an address and wait until it is stored."),
        ("feeds", "feeds:feeds", "Feeds: subscribe, fetch, preview, watch their health."),
        ("lookup", "lookup:lookup", "Look up values."),
        ("observables", "observables:observables", "Observables: search, list, count, explain."),
        ("extract", "extract:extract", "List the observables and ATT&CK ids that a report names."),
        (
            "sightings",
            "sightings:sightings",
            "Sightings: report where you saw values, withdraw reports.",
        ),
        (
            "relations",
            "sightings:relations",
            "Relations: report how observables relate to each other.",
        ),
        ("trends", "trends:trends", "List bursts and rises, the newest first."),
        (
            "reference",
            "trends:reference",
            "List the reference data behind answers, its dates, licences.",
        ),
        ("enrich", "enrichment:enrich", "Ask enrichers about values and show their answers."),
        ("enrichments", "enrichment:enrichments", "Enrichment jobs: follow, list, cancel."),
        ("enrichers", "enrichers:enrichers", "Remote enrichers: keys, limits, queues."),
        ("policies", "policies:policies", "Policies: which observables are enriched unasked."),
        ("lists", "lists:lists", "Lists: what devices and tools block, who has it, and why."),
        (
            "collections",
            "collections:collections",
            "Collections: STIX objects that others poll over TAXII 2.1.",
        ),
        ("mitre", "mitre:mitre", "ATT&CK: releases and techniques."),
        ("schedules", "schedules:schedules", "Schedules: tasks that run by the clock."),
        ("notifications", "notifications:notifications", "Rules, channels and deliveries."),
        ("groups", "groups:groups", "Groups: what rules have matched that belongs together."),
        ("inbox", "groups:inbox", "The inbox: messages that are read in the product."),
        ("silences", "silences:silences", "Silences: what nobody is told of for a while."),
        (
            "inhibitions",
            "inhibitions:inhibitions",
            "Inhibitions: what is held while something else fires.",
        ),
        ("digests", "silences:digests", "Digests: what is told at due times."),
        (
            "watchlists",
            "watchlists:watchlists",
            "Watchlists: own networks, domains, brands for filters.",
        ),
        ("events", "events:events", "Events that the services publish."),
        ("dead", "dead:dead", "Dead letters: records that no consumer could handle."),
        ("consumers", "consumers:consumers", "Consumers: halted partitions, and gaps in logs."),
        (
            "reconcile",
            "reconcile:reconcile",
            "Send again what the queues have lost, as an operator.",
        ),
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
        ("auth", "auth:auth", "Identity providers: who may sign in there, and why."),
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


def _print_version(value: bool) -> None:  # Typer's form of a callback
    """Print the version and stop."""
    if value:
        from importlib.metadata import version  # noqa: PLC0415  # only this option needs it

        typer.echo(f"sentineliq {version('sentineliq')}")
        raise typer.Exit


@app.callback()
def sentineliq(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Make Typer build a group; the commands stand in `RootGroup`."""

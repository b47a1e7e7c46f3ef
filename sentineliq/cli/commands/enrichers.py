"""`sentineliq enrichers`."""

from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import EnricherSummary, FollowedRequest, decode
from sentineliq.cli.client.follow_enrichment import EnrichmentFollower, job_outcome
from sentineliq.cli.context import CommandGroup, Context
from sentineliq.cli.credential_prompts import prompt_secret
from sentineliq.cli.parameters import without_none
from shared.errors import NotFound
from shared.tenants import PUBLIC

enrichers = CommandGroup("Remote enrichers: keys, limits, queues.")

KEY_VARIABLE: Final = "SENTINELIQ_ENRICHER_"
"""Followed by a field's name, it holds that field of a key where there is no terminal."""
_BLOCKS: Final = {"quota": "over quota", "trouble": "in trouble", "key": "key refused"}
_COLUMNS: Final = (
    "name",
    "types",
    "key",
    "state",
    "calls",
    "today",
    "max TLP",
    "waiting",
    "done by",
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The enricher's name, e.g. shodan_internetdb.")
]


@enrichers.command("list")
def list_enrichers(ctx: Context) -> None:
    """List all enrichers with their state and their queues."""
    documents = ctx.obj.client.get("observables", "/v1/enrichers")
    rows = map(_row, decode(list[EnricherSummary], documents))
    ctx.obj.answer(documents, output.table(_COLUMNS, rows, empty="no enrichers are installed"))


def _row(enricher: EnricherSummary) -> tuple[Any, ...]:
    queue = enricher.queue
    return (
        enricher.name,
        enricher.types,
        _key_state(enricher),
        _state(enricher),
        f"{enricher.calls:,} in {enricher.seconds:g} s",
        _calls_today(enricher),
        enricher.max_tlp,
        queue.waiting if queue else None,
        output.format_time(queue.finished) if queue else None,
    )


def _key_state(enricher: EnricherSummary) -> str:
    if not enricher.key_fields:
        return "not needed"
    if enricher.has_key:
        return "set"
    if enricher.lent_key:
        return "lent"
    return "optional" if enricher.key_optional else "missing"


def _state(enricher: EnricherSummary) -> str:
    """Ready, or why it cannot be asked and until when."""
    if enricher.obstacle:
        return enricher.obstacle
    block = enricher.queue.blocked if enricher.queue else None
    if block:
        return f"{_BLOCKS[block.kind]} until {output.format_time(block.until)}"
    return "ready"


def _calls_today(enricher: EnricherSummary) -> str | None:
    calls = enricher.queue.used_today if enricher.queue else 0
    if enricher.daily is not None:
        return f"{calls:,} of {enricher.daily:,}"
    return f"{calls:,}" if calls else None


@enrichers.command("show")
def show_enricher(ctx: Context, name: Name) -> None:
    """Show an enricher with its settings and its queue."""
    document = _find(ctx.obj.client, name)
    pairs = {key: value for key, value in document.items() if key != "queue"}
    for key, value in (document["queue"] or {}).items():
        pairs[f"queue: {key}"] = value
    ctx.obj.answer(document, output.details(pairs))


def _find(client: Client, name: str) -> Json:
    for document in client.get("observables", "/v1/enrichers"):
        if document["name"] == name:
            enricher: Json = document
            return enricher
    raise NotFound(f"there is no enricher {name!r}: `sentineliq enrichers list` names them")


@enrichers.command("set")
def set_limits(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Name,
    *,
    enabled: Annotated[
        bool | None,
        typer.Option("--enable/--disable", help="Allow queries to it, or stop them."),
    ] = None,
    max_tlp: Annotated[
        str | None, typer.Option(help="The strictest marking of values that it may see.")
    ] = None,
    calls: Annotated[
        int | None, typer.Option(min=1, help="The calls that your plan allows …")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="… in a span of so many seconds.")
    ] = None,
    daily: Annotated[
        int | None, typer.Option(min=1, help="The calls that your plan allows in a day (UTC).")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Return to the default marking and limits.")
    ] = False,
) -> None:
    """Enable an enricher, or set its marking and limits.

    The limits are those of your plan with the provider.
    """
    if (calls is None) != (seconds is None):
        raise typer.BadParameter("--calls and --seconds belong together", param_hint="--calls")
    rate = None if calls is None else {"calls": calls, "seconds": seconds}
    changes: Json = {"max_tlp": None, "rate": None, "daily": None} if reset else {}
    changes |= without_none({"enabled": enabled, "max_tlp": max_tlp, "rate": rate, "daily": daily})
    if not changes:
        raise typer.BadParameter("name at least one setting to change")
    changed = ctx.obj.client.patch("observables", f"/v1/enrichers/{name}", changes)
    if (rate or daily) and not changed["has_key"] and ctx.obj.tenant != PUBLIC:
        output.print_note(
            f"these limits count as soon as {name} has a key of yours: "
            f"`sentineliq enrichers key {name}`"
        )
    names = ("name", "enabled", "obstacle", "max_tlp", "calls", "seconds", "daily")
    ctx.obj.answer(changed, output.details({key: changed[key] for key in names}))


@enrichers.command("key")
def set_key(
    ctx: Context,
    name: Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FIELD=VALUE",
            help=f"You are asked for missing fields, unless {KEY_VARIABLE}<FIELD> holds them.",
        ),
    ] = None,
) -> None:
    """Set your key for a provider; it is never shown again.

    Waiting jobs continue with the new key.
    """
    key = dict(_parse_field(text) for text in fields or ())
    for field in _find(ctx.obj.client, name)["key_fields"]:
        if field not in key:
            key[field] = prompt_secret(
                f"{KEY_VARIABLE}{field.upper()}",
                field,
                f"{field} of {name}",
                param_hint="FIELD=VALUE",
            )
    changed = ctx.obj.client.patch("observables", f"/v1/enrichers/{name}", {"key": key})
    done = f"{name} has its key; `sentineliq enrichers test {name}` tests it"
    ctx.obj.answer(changed, output.cell(done if key else f"{name} needs no key"))


def _parse_field(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not (field and equals and value):
        # The text may be the secret itself: the message does not repeat it.
        raise typer.BadParameter("give each field as FIELD=VALUE", param_hint="FIELD=VALUE")
    return field, value


@enrichers.command("forget-key")
def forget_key(ctx: Context, name: Name) -> None:
    """Delete your key for a provider."""
    ctx.obj.client.delete("observables", f"/v1/enrichers/{name}/key")
    document = _find(ctx.obj.client, name)
    state = _state(decode(EnricherSummary, document))
    ctx.obj.answer(document, output.cell(f"{name}: {state}"))


@enrichers.command("test")
def test_enricher(ctx: Context, name: Name) -> None:
    """Send a provider a harmless query to test it and your key."""
    request = ctx.obj.client.post("observables", f"/v1/enrichers/{name}/test")
    request = EnrichmentFollower(ctx.obj.client, notice=lambda _: None).follow(request)
    (job,) = decode(FollowedRequest, request).jobs
    line = f"{name}, asked about {job.value}: {job_outcome(job)}"
    ctx.obj.answer(request["jobs"][0], output.cell(line))
    if job.state != "done":
        raise typer.Exit(1)

"""`sentineliq enrichers`: providers, their keys, limits and queues."""

import os
import sys
from typing import Annotated, Any, Final

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.follow_enrichment import EnrichmentFollower, outcome
from sentineliq.cli.context import CommandContext, command
from shared.database import PUBLIC
from shared.errors import NotFound

enrichers = typer.Typer(help="Remote enrichers: keys, limits, queues.", no_args_is_help=True)

VARIABLE: Final = "SENTINELIQ_ENRICHER_"
"""With a field's name behind it, holds that field of a key where nobody can be asked."""

Name = Annotated[str, typer.Argument(metavar="NAME", help="For instance shodan_internetdb.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(enrichers, name="enrichers")


@command(enrichers, "list")
def list_enrichers(context: CommandContext) -> None:
    """All remote enrichers, whether they can be asked, and the queues in front of them."""
    found = context.client.get("observables", "/v1/enrichers")
    columns = ("name", "types", "key", "state", "calls", "today", "max TLP", "waiting", "done by")
    context.answer(
        found, output.table(columns, map(_row, found), empty="no enrichers are installed")
    )


def _row(one: Json) -> tuple[Any, ...]:
    queue = one["queue"] or {"waiting": None, "finished": None}
    calls = f"{one['calls']:,} in {one['seconds']:g} s"
    finished = output.moment(queue["finished"])
    about = one["name"], one["types"], _key(one), _state(one)
    return *about, calls, _today(one), one["max_tlp"], queue["waiting"], finished


def _key(one: Json) -> str:
    if not one["key_fields"]:
        return "none wanted"
    if one["has_key"]:
        return "set"
    return "lent" if one["lent_key"] else "optional" if one["key_optional"] else "missing"


def _state(one: Json) -> str:
    """Whether it can be asked: its obstacle, or what holds its queue back, and until when."""
    blocked = one["queue"] and one["queue"]["blocked"]
    if one["obstacle"]:
        return str(one["obstacle"])
    if blocked:
        words = {"quota": "over quota", "trouble": "in trouble", "key": "key refused"}
        return f"{words[blocked['kind']]} until {output.moment(blocked['until'])}"
    return "ready"


def _today(one: Json) -> str | None:
    used = one["queue"]["used_today"] if one["queue"] else 0
    return (
        f"{used:,} of {one['daily']:,}"
        if one["daily"] is not None
        else f"{used:,}"
        if used
        else None
    )


@command(enrichers, "show")
def show(context: CommandContext, name: Name) -> None:
    """One enricher: what it is asked about, what is set about it, and its queue."""
    found = _named(context, name)
    queue = found["queue"] or {}
    flat = {key: value for key, value in found.items() if key != "queue"}
    context.answer(
        found, output.details({**flat, **{f"queue: {key}": value for key, value in queue.items()}})
    )


def _named(context: CommandContext, name: str) -> Json:
    found: list[Json] = context.client.get("observables", "/v1/enrichers")
    one = next((one for one in found if one["name"] == name), None)
    if one is None:
        raise NotFound(f"there is no enricher {name!r}: `sentineliq enrichers list` names them")
    return one


@command(enrichers, "set")
def set_(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    name: Name,
    *,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="May it be asked at all?")
    ] = None,
    max_tlp: Annotated[
        str | None, typer.Option(help="The strictest marking that is told to it.")
    ] = None,
    calls: Annotated[int | None, typer.Option(min=1, help="So many calls of your plan …")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="… in any span of so many seconds.")
    ] = None,
    daily: Annotated[
        int | None, typer.Option(min=1, help="Calls of your plan in a day (UTC).")
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Markings and limits as they are at first.")
    ] = False,
) -> None:
    """Switch an enricher on or off, say how far markings go, and what the plan of your key allows."""
    if (calls is None) != (seconds is None):
        raise typer.BadParameter("--calls and --seconds belong together", param_hint="--calls")
    changes: Json = {"max_tlp": None, "rate": None, "daily": None} if reset else {}
    rate = None if calls is None else {"calls": calls, "seconds": seconds}
    given = {"enabled": enabled, "max_tlp": max_tlp, "rate": rate, "daily": daily}
    changes |= {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("say what to change")
    changed = context.client.patch("observables", f"/v1/enrichers/{name}", changes)
    if (rate or daily) and not changed["has_key"] and context.tenant != PUBLIC:
        output.say(
            f"these limits count as soon as {name} has a key of yours: `sentineliq enrichers key {name}`"
        )
    context.answer(changed, output.details(_shown(changed)))


def _shown(one: Json) -> Json:
    names = ("name", "enabled", "obstacle", "max_tlp", "calls", "seconds", "daily")
    return {key: one[key] for key in names}


@command(enrichers, "key")
def set_key(
    context: CommandContext,
    name: Name,
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=VALUE]...",
            help=f"What is not given is asked for, or {VARIABLE}<FIELD>.",
        ),
    ] = None,
) -> None:
    """Set the tenant's key for a provider; nobody can read it again. What waits goes on with it."""
    wanted = _named(context, name)["key_fields"]
    given = dict(_pair(one) for one in fields or ())
    key = {**{field: _secret(name, field) for field in wanted if field not in given}, **given}
    changed = context.client.patch("observables", f"/v1/enrichers/{name}", {"key": key})
    said = f"{name} has its key; `sentineliq enrichers test {name}` tries it"
    context.answer(changed, output.cell(said if key else f"{name} wants no key"))


def _pair(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not (field and equals and value):
        # The text may be the secret itself: it is not repeated.
        raise typer.BadParameter(
            "a field of a key is given as FIELD=VALUE", param_hint="FIELD=VALUE"
        )
    return field, value


def _secret(name: str, field: str) -> str:
    variable = f"{VARIABLE}{field.upper()}"
    if secret := os.environ.get(variable):
        return secret
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"nobody can be asked for the {field} here; set {variable}", param_hint="FIELD=VALUE"
        )
    return str(typer.prompt(f"{field} of {name}", hide_input=True, err=True))


@command(enrichers, "forget-key")
def forget_key(context: CommandContext, name: Name) -> None:
    """Forget the tenant's key."""
    context.client.delete("observables", f"/v1/enrichers/{name}/key")
    changed = _named(context, name)
    context.answer(changed, output.cell(f"{name}: {_state(changed)}"))


@command(enrichers, "test")
def test(context: CommandContext, name: Name) -> None:
    """Ask a provider a harmless question, to see whether it and the key work."""
    request = context.client.post("observables", f"/v1/enrichers/{name}/test")
    request = EnrichmentFollower(context.client, notice=lambda _: None).follow(request)
    (job,) = request["jobs"]
    context.answer(job, output.cell(f"{name}, asked about {job['value']}: {outcome(job)}"))
    if job["state"] != "done":
        raise typer.Exit(1)

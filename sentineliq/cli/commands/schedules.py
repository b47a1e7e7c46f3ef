"""`sentineliq schedules`: what runs when."""

import json
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.commands.feeds.subscriptions import seconds
from sentineliq.cli.context import CommandContext, command

schedules = typer.Typer(help="Schedules: tasks that run by the clock.", no_args_is_help=True)

Reference = Annotated[str, typer.Argument(metavar="SCHEDULE", help="Name or id.")]
Args = Annotated[
    str | None, typer.Option(help="Positional arguments as a JSON list, e.g. '[\"<feed id>\"]'.")
]
Cron = Annotated[str | None, typer.Option(help='Five fields, e.g. "30 6 * * MON-FRI".')]
Every = Annotated[str | None, typer.Option(help="Seconds, or 30m, 6h, 1d.")]
TimeZone = Annotated[str | None, typer.Option(help="Of the cron expression, e.g. Europe/Vienna.")]
Jitter = Annotated[
    int | None, typer.Option(min=0, help="Put each firing off by up to so many seconds.")
]
CatchUp = Annotated[str | None, typer.Option(help="When found late: skip, or once.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(schedules, name="schedules")


@command(schedules, "list")
def list_schedules(context: CommandContext) -> None:
    """Schedules of the tenant, of `public`, and the platform's own."""
    found = list(context.client.items("scheduler", "/v1/schedules"))
    columns = ("name", "tenant", "task", "when", "enabled", "next due", "owner")
    context.answer(found, output.table(columns, map(_row, found), empty="no schedules"))


def _row(schedule: Json) -> tuple[Any, ...]:
    enabled = "yes" if schedule["enabled"] else f"no{': ' if schedule['disabled_reason'] else ''}"
    return (
        schedule["name"],
        schedule["tenant"],
        schedule["task"],
        _when(schedule),
        enabled + (schedule["disabled_reason"] or ""),
        output.moment(schedule["next_due_at"]),
        schedule["owner"],
    )


def _when(schedule: Json) -> str:
    if schedule["cron"] is not None:
        return f"{schedule['cron']} {schedule['timezone']}"
    return f"every {schedule['every_seconds']:,} s"


def _given(
    cron: str | None,
    every: str | None,
    args: str | None,
    timezone: str | None,
    jitter: int | None,
    catch_up: str | None,
) -> Json:
    """The fields that were given; those that were not are not changed."""
    if cron and every:
        raise typer.BadParameter("give --cron or --every, not both")
    try:
        listed = None if args is None else json.loads(args)
    except ValueError as error:
        raise typer.BadParameter(f"{args!r} is not JSON: {error}", param_hint="--args") from error
    values = {"args": listed, "timezone": timezone, "jitter_seconds": jitter, "catch_up": catch_up}
    timing: Json = {"cron": cron, "every_seconds": None} if cron else {}
    if every:
        timing = {"cron": None, "every_seconds": seconds(every)}
    return {**timing, **{name: value for name, value in values.items() if value is not None}}


@command(schedules, "add")
def add_schedule(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    name: Annotated[str, typer.Argument()],
    task: Annotated[str, typer.Argument(help="For instance feeds.tasks.start_feed.")],
    *,
    cron: Cron = None,
    every: Every = None,
    args: Args = None,
    timezone: TimeZone = None,
    jitter: Jitter = None,
    catch_up: CatchUp = None,
) -> None:
    """Put a task on a schedule, by cron or every so often; effective within a second."""
    given = _given(cron, every, args, timezone, jitter, catch_up)
    if "cron" not in given:
        raise typer.BadParameter("say when: --cron or --every")
    made = context.client.post("scheduler", "/v1/schedules", {"name": name, "task": task, **given})
    context.answer(made, output.details(made))


@command(schedules, "edit")
def edit_schedule(  # noqa: PLR0913  # a command's parameters are its documentation
    context: CommandContext,
    schedule: Reference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    task: Annotated[str | None, typer.Option(help="Another task.")] = None,
    cron: Cron = None,
    every: Every = None,
    args: Args = None,
    timezone: TimeZone = None,
    jitter: Jitter = None,
    catch_up: CatchUp = None,
) -> None:
    """Change a schedule; effective within a second."""
    named = {key: value for key, value in {"name": name, "task": task}.items() if value}
    _patch(context, schedule, {**named, **_given(cron, every, args, timezone, jitter, catch_up)})


@command(schedules, "enable")
def enable_schedule(context: CommandContext, schedule: Reference) -> None:
    """Switch a schedule on."""
    _patch(context, schedule, {"enabled": True})


@command(schedules, "disable")
def disable_schedule(context: CommandContext, schedule: Reference) -> None:
    """Switch a schedule off; nothing is sent until it is switched on again."""
    _patch(context, schedule, {"enabled": False})


def _patch(context: CommandContext, reference: str, changes: Json) -> None:
    found = context.client.find("scheduler", "/v1/schedules", reference)
    changed = context.client.patch("scheduler", f"/v1/schedules/{found['id']}", changes)
    context.answer(changed, output.details(changed))


@command(schedules, "run")
def run_schedule(context: CommandContext, schedule: Reference) -> None:
    """Fire a schedule now, whether it is enabled or not."""
    found = context.client.find("scheduler", "/v1/schedules", schedule)
    fired = context.client.post("scheduler", f"/v1/schedules/{found['id']}/run")
    context.answer(
        fired,
        output.cell(
            f"{found['name']}: {found['task']} is {fired['state']} as {fired['message_id']}"
        ),
    )


@command(schedules, "delete")
def delete_schedule(context: CommandContext, schedule: Reference) -> None:
    """Delete a schedule and its history."""
    found = context.client.find("scheduler", "/v1/schedules", schedule)
    context.client.delete("scheduler", f"/v1/schedules/{found['id']}")
    context.answer({"deleted": found["id"]}, output.cell(f"{found['name']} is deleted"))


@command(schedules, "history")
def history(
    context: CommandContext,
    schedule: Reference,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
) -> None:
    """When a schedule fired, newest first."""
    found = context.client.find("scheduler", "/v1/schedules", schedule)
    fires = list(
        context.client.items("scheduler", f"/v1/schedules/{found['id']}/fires", most=limit)
    )
    rows = [
        (
            output.moment(fire["due_at"]),
            fire["state"],
            output.moment(fire["sent_at"]),
            fire["actor"],
            fire["message_id"],
        )
        for fire in fires
    ]
    context.answer(
        fires,
        output.table(("due", "state", "sent", "by", "message"), rows, empty="it has not fired yet"),
    )

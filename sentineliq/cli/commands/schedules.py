"""`sentineliq schedules`."""

import json
from typing import Annotated, Any

import typer

from sentineliq.cli import output
from sentineliq.cli.client.api import Json
from sentineliq.cli.client.firing_outcome import outcome_of_firing
from sentineliq.cli.context import CommandContext, CommandGroup, Context
from sentineliq.cli.parameters import parse_duration, without_none

schedules = CommandGroup("Schedules: tasks that run by the clock.")

_PATH = "/v1/schedules"
_COLUMNS = ("name", "tenant", "task", "when", "enabled", "next due", "owner")
_FIRE_COLUMNS = ("due", "outcome", "sent", "by", "message")

ScheduleReference = Annotated[
    str, typer.Argument(metavar="SCHEDULE", help="The schedule's name or id.")
]
Args = Annotated[
    str | None,
    typer.Option(help="The task's positional arguments as a JSON list, e.g. '[\"<feed id>\"]'."),
]
FeedArgument = Annotated[
    str | None,
    typer.Option("--feed", help="Give the task this feed (name or id) as its argument."),
]
Cron = Annotated[
    str | None, typer.Option(help='When it runs: five fields, e.g. "30 6 * * MON-FRI".')
]
Interval = Annotated[
    str | None, typer.Option("--every", help="How often it runs: seconds, or 30m, 6h, 1d.")
]
TimeZone = Annotated[
    str | None, typer.Option(help="The time zone of the cron expression, e.g. Europe/Vienna.")
]
Jitter = Annotated[
    int | None, typer.Option(min=0, help="Delay each firing by up to so many seconds.")
]
CatchUp = Annotated[
    str | None, typer.Option(help="What to do with missed firings: skip them, or fire once.")
]


@schedules.command("list")
def list_schedules(ctx: Context) -> None:
    """List the tenant's schedules and the shared ones.

    The shared ones are those of `public` and of the platform.
    """
    documents = list(ctx.obj.client.items("scheduler", _PATH))
    ctx.obj.answer(documents, output.table(_COLUMNS, map(_row, documents), empty="no schedules"))


@schedules.command("show")
def show_schedule(ctx: Context, schedule: ScheduleReference) -> None:
    """Show a schedule."""
    item = ctx.obj.client.resolve("scheduler", _PATH, schedule)
    document = ctx.obj.client.get("scheduler", f"{_PATH}/{item.id}")
    ctx.obj.answer(document, output.details(document))


@schedules.command("beats")
def list_beats(ctx: Context) -> None:
    """List the Beat processes that fire schedules."""
    documents = ctx.obj.client.get("scheduler", "/v1/beats")["items"]
    rows = [
        (
            beat["host"],
            beat["pid"],
            output.format_time(beat["started_at"]),
            f"{beat['seconds_since_tick']:.0f} s ago",
            output.format_time(beat["last_fired_at"]),
        )
        for beat in documents
    ]
    columns = ("host", "process", "since", "last tick", "last fired")
    ctx.obj.answer(documents, output.table(columns, rows, empty="no Beat process is running"))


def _row(schedule: Json) -> tuple[Any, ...]:
    reason = schedule["disabled_reason"]
    disabled = f"no: {reason}" if reason else "no"
    return (
        schedule["name"],
        schedule["tenant"],
        schedule["task"],
        _timing(schedule),
        "yes" if schedule["enabled"] else disabled,
        output.format_time(schedule["next_due_at"]),
        schedule["owner"],
    )


def _timing(schedule: Json) -> str:
    if schedule["cron"] is not None:
        return f"{schedule['cron']} {schedule['timezone']}"
    return f"every {schedule['every_seconds']:,} s"


def _fields(
    cron: str | None,
    every: str | None,
    args: str | None,
    timezone: str | None,
    jitter: int | None,
    catch_up: str | None,
) -> Json:
    """The fields as the API takes them; options that were not used are left out."""
    if cron and every:
        raise typer.BadParameter("give --cron or --every, not both")
    fields = without_none(
        {
            "args": _parse_args(args),
            "timezone": timezone,
            "jitter_seconds": jitter,
            "catch_up": catch_up,
        }
    )
    if cron:
        fields |= {"cron": cron, "every_seconds": None}
    if every:
        fields |= {"cron": None, "every_seconds": parse_duration(every)}
    return fields


def _parse_args(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not JSON: {error}", param_hint="--args") from error


@schedules.command("add")
def add_schedule(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    name: Annotated[str, typer.Argument(help="What the schedule is called.")],
    task: Annotated[str, typer.Argument(help="The task's name, e.g. feeds.tasks.start_feed.")],
    *,
    cron: Cron = None,
    every: Interval = None,
    args: Args = None,
    feed: FeedArgument = None,
    timezone: TimeZone = None,
    jitter: Jitter = None,
    catch_up: CatchUp = None,
    disabled: Annotated[
        bool, typer.Option("--disabled", help="Add it switched off; `schedules enable` begins.")
    ] = False,
) -> None:
    """Add a schedule for a task, by cron or by interval.

    It takes effect within a second.
    """
    fields = _fields(cron, every, args, timezone, jitter, catch_up)
    if "cron" not in fields:
        raise typer.BadParameter("say when it runs: --cron or --every")
    if feed and args:
        raise typer.BadParameter("give --feed or --args, not both")
    if feed:
        fields["args"] = [ctx.obj.client.resolve("feeds", "/v1/feeds", feed).id]
    body = {"name": name, "task": task, **fields}
    if disabled:
        body["enabled"] = False
    schedule = ctx.obj.client.post("scheduler", _PATH, body)
    ctx.obj.answer(schedule, output.details(schedule))


@schedules.command("edit")
def edit_schedule(  # noqa: PLR0913  # a command's parameters are its documentation
    ctx: Context,
    schedule: ScheduleReference,
    *,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    task: Annotated[str | None, typer.Option(help="Another task.")] = None,
    cron: Cron = None,
    every: Interval = None,
    args: Args = None,
    timezone: TimeZone = None,
    jitter: Jitter = None,
    catch_up: CatchUp = None,
) -> None:
    """Change a schedule; it takes effect within a second."""
    names = without_none({"name": name or None, "task": task or None})
    _patch(ctx.obj, schedule, names | _fields(cron, every, args, timezone, jitter, catch_up))


@schedules.command("enable")
def enable_schedule(ctx: Context, schedule: ScheduleReference) -> None:
    """Enable a schedule."""
    _patch(ctx.obj, schedule, {"enabled": True})


@schedules.command("disable")
def disable_schedule(ctx: Context, schedule: ScheduleReference) -> None:
    """Disable a schedule; it sends nothing until you enable it again."""
    _patch(ctx.obj, schedule, {"enabled": False})


def _patch(context: CommandContext, reference: str, changes: Json) -> None:
    item = context.client.resolve("scheduler", _PATH, reference)
    changed = context.client.patch("scheduler", f"{_PATH}/{item.id}", changes)
    context.answer(changed, output.details(changed))


@schedules.command("run")
def run_schedule(ctx: Context, schedule: ScheduleReference) -> None:
    """Fire a schedule now, whether it is enabled or not."""
    item = ctx.obj.client.find("scheduler", _PATH, schedule)
    fire = ctx.obj.client.post("scheduler", f"{_PATH}/{item['id']}/run")
    line = f"{item['name']}: {item['task']} is {fire['state']} as {fire['message_id']}"
    ctx.obj.answer(fire, output.cell(line))


@schedules.command("delete")
def delete_schedule(ctx: Context, schedule: ScheduleReference) -> None:
    """Delete a schedule and its history."""
    item = ctx.obj.client.resolve("scheduler", _PATH, schedule)
    ctx.obj.client.delete("scheduler", f"{_PATH}/{item.id}")
    ctx.obj.answer({"deleted": item.id}, output.cell(f"{item.name} is deleted"))


@schedules.command("history")
def show_history(
    ctx: Context,
    schedule: ScheduleReference,
    *,
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 20,
) -> None:
    """List when a schedule fired and what became of it, the newest first.

    Where the task has started a run, the outcome is the run's.
    """
    item = ctx.obj.client.resolve("scheduler", _PATH, schedule)
    fires = list(ctx.obj.client.items("scheduler", f"{_PATH}/{item.id}/fires", most=limit))
    rows = [_fire_row(fire, outcome_of_firing(ctx.obj.client, fire)) for fire in fires]
    ctx.obj.answer(fires, output.table(_FIRE_COLUMNS, rows, empty="it has not fired yet"))


def _fire_row(fire: Json, outcome: str) -> tuple[Any, ...]:
    return (
        output.format_time(fire["due_at"]),
        outcome,
        output.format_time(fire["sent_at"]),
        fire["actor"],
        fire["message_id"],
    )

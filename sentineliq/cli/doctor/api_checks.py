"""Checks of the services' APIs, and of what the scheduler's API says about Beat and schedules."""

from collections import defaultdict
from typing import Final

from sentineliq.cli import output
from sentineliq.cli.client.api import Client
from sentineliq.cli.client.documents import BeatSummary, FireSummary, ScheduleSummary, decode
from sentineliq.cli.doctor.check import Check
from shared.errors import SentinelIQError
from shared.service_names import ServiceName

_SILENT_AFTER: Final = 5.0
"""Seconds without a tick after which Beat counts as dead."""


def check_api(client: Client, service: ServiceName) -> Check:
    """Whether an API is ready: it and its database answer."""
    subject = f"{service} api"
    try:
        client.get(service, "/readyz")
    except SentinelIQError as error:
        step = f"start `python -m services.{service} api`; see logs/api.log"
        return Check(subject, "problem", error.message, step)
    return Check(subject, "ok", f"ready at {client.url(service)}")


def check_beat(client: Client) -> Check:
    """Whether Beat is alive, and when it last fired."""
    try:
        items = client.get("scheduler", "/v1/beats")["items"]
    except SentinelIQError as error:
        step = "first repair the scheduler's API"
        return Check("Beat", "problem", f"unknown: {error.message}", step)
    beats = decode(list[BeatSummary], items)
    for beat in beats:
        if beat.seconds_since_tick <= _SILENT_AFTER:
            fired = output.format_time(beat.last_fired_at) or "never yet"
            tick = f"ticked {beat.seconds_since_tick:.1f} s ago"
            seen = f"pid {beat.pid} on {beat.host} {tick}; last fired {fired}"
            return Check("Beat", "ok", seen)
    last = f"last tick {beats[0].seconds_since_tick:,.0f} s ago" if beats else "never ran"
    step = "start `python -m services.scheduler beat`; see logs/celery.log"
    return Check("Beat", "problem", last, step)


def scheduled_tasks(client: Client) -> dict[str, set[str]]:
    """The tasks of enabled schedules, by queue; none when the scheduler does not answer."""
    tasks: dict[str, set[str]] = defaultdict(set)
    try:
        for schedule in _schedules(client):
            if schedule.enabled:
                tasks[schedule.queue].add(schedule.task)
    except SentinelIQError:
        return {}
    return tasks


def check_schedules(client: Client, task: str) -> list[Check]:
    """When the schedules of a task fired last, and when they fire next."""
    try:
        schedules = [schedule for schedule in _schedules(client) if schedule.task == task]
    except SentinelIQError as error:
        step = "first repair the scheduler's API"
        return [Check("schedules", "problem", error.message, step)]
    if not schedules:
        return [Check("schedules", "ok", "none: it runs when another part requests it")]
    return [_check_schedule(client, schedule) for schedule in schedules]


def _schedules(client: Client) -> list[ScheduleSummary]:
    return decode(list[ScheduleSummary], list(client.items("scheduler", "/v1/schedules")))


def _check_schedule(client: Client, schedule: ScheduleSummary) -> Check:
    subject = f"schedule {schedule.name!r}"
    if not schedule.enabled:
        reason = schedule.disabled_reason or "a user disabled it"
        step = f"sentineliq schedules enable {schedule.name!r}"
        return Check(subject, "look", f"disabled: {reason}", step)
    path = f"/v1/schedules/{schedule.id}/fires"
    fires = decode(list[FireSummary], client.get("scheduler", path, limit=1)["items"])
    last = "has not fired yet"
    if fires:
        last = f"{fires[0].state} {output.format_time(fires[0].due_at)}"
    return Check(subject, "ok", f"{last}; next {output.format_time(schedule.next_due_at)}")

"""Due times by cron expressions in time zones, as plain functions of a clock.

Cron follows Debian. An expression has five fields. One that names an hour runs once on a day whose
clock changes; one that runs every few minutes continues in real time.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from shared.errors import InvalidInput


def time_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    Raises:
        InvalidInput: there is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        # An unknown name, no name at all, or the name of a folder of zones.
        raise InvalidInput(
            f"There is no time zone {name!r}; name one like Europe/Berlin.", field="timezone"
        ) from error


def next_by_cron(expression: str, timezone: ZoneInfo, now: datetime) -> datetime:
    """The first due time of a cron expression after `now`, in UTC.

    Raises:
        InvalidInput: the expression is invalid, or never due.
    """
    if len(expression.split()) != 5:
        raise InvalidInput(
            "A cron expression has five fields: minute hour day month weekday.", field="cron"
        )
    try:
        for moment in CronSim(expression, now.astimezone(timezone)):
            # If the clock repeats an hour, the library gives its first pass, which may be over.
            if (due := moment.astimezone(UTC)) > now.astimezone(UTC):
                return due
    except (CronSimError, OverflowError) as error:
        raise InvalidInput(
            f"The cron expression {expression!r} cannot be used: {error}.", field="cron"
        ) from error
    raise InvalidInput(f"The cron expression {expression!r} never comes due.", field="cron")

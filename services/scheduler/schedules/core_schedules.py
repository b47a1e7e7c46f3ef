"""The platform's own schedules: declared here, written to the table whenever a Beat starts.

Operators may switch them on and off; their other properties change with the code.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from services.scheduler.schedules.task_catalog import queue_for
from services.scheduler.schedules.timing import CatchUp, Timing
from shared.auth import Role
from shared.settings import SERVICES


@dataclass(frozen=True, slots=True)
class CoreSchedule:
    """A schedule that is declared in code.

    Attributes:
        name: unique among the core schedules; the id derives from it.
        args: positional arguments of the task, as JSON.
        catch_up: `once` for tasks that a machine does late rather than never.
    """

    name: str
    task: str
    timing: Timing
    args: tuple[Any, ...] = ()
    catch_up: CatchUp = "skip"

    @property
    def id(self) -> UUID:
        """The same in every installation."""
        return uuid5(NAMESPACE_URL, f"sentineliq:core-schedule:{self.name}")

    def columns(self) -> dict[str, Any]:
        """Its columns in the table, without times."""
        return {
            "name": self.name,
            "task": self.task,
            "queue": queue_for(self.task, Role.operator),
            "args": list(self.args),
            "cron": self.timing.cron,
            "every_seconds": self.timing.every_seconds,
            "timezone": self.timing.timezone,
            "jitter_seconds": self.timing.jitter_seconds,
            "catch_up": self.catch_up,
        }


CORE_SCHEDULES: Final[tuple[CoreSchedule, ...]] = (
    CoreSchedule("start due feeds", "feeds.tasks.start_due_feeds", Timing(every_seconds=5)),
    CoreSchedule("check feeds", "feeds.tasks.check_feeds", Timing(every_seconds=300)),
    CoreSchedule(
        "prune feeds", "feeds.tasks.prune_feeds", Timing(cron="53 2 * * *"), catch_up="once"
    ),
    CoreSchedule("check due scores", "observables.tasks.check_due", Timing(every_seconds=15)),
    CoreSchedule(
        "refresh reference data", "observables.tasks.refresh_reference", Timing(every_seconds=600)
    ),
    CoreSchedule(
        "measure sources",
        "observables.tasks.measure_sources",
        Timing(cron="17 4 * * *"),
        catch_up="once",
    ),
    CoreSchedule("measure growth", "scheduler.tasks.measure_growth", Timing(every_seconds=3600)),
    *(
        CoreSchedule(
            f"prune tables of {service}",
            f"{service}.tasks.prune_tables",
            Timing(cron=f"{minute} 3 * * *"),
            catch_up="once",
        )
        for service, minute in zip(SERVICES, (3, 11, 23, 31, 41, 47), strict=True)
    ),
    CoreSchedule(
        # The jitter keeps installations from asking the same server at the same minute.
        "refresh ATT&CK",
        "mitre.tasks.refresh_attack",
        Timing(cron="17 3 * * *", jitter_seconds=1800),
        catch_up="once",
    ),
)

"""How much of the scheduler a tenant may use."""

from typing import Final

from services.scheduler.quotas import repository
from shared.quotas import Quota

SCHEDULES: Final = Quota("schedules", 200, "schedules", count=repository.count_schedules)

QUOTAS: Final = (SCHEDULES,)

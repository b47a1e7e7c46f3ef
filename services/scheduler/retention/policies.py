"""The retention of the scheduler's tables."""

from typing import Final

from shared.retention import INFRASTRUCTURE, QUOTAS, RetentionPolicy

FIRINGS: Final = RetentionPolicy(
    table="fire",
    reason="A firing that was sent or missed is history; one that is pending is work.",
    days=30,
    age="fired_at",
    condition="state <> 'pending'",
)

POLICIES: Final = (
    *INFRASTRUCTURE,
    *QUOTAS,
    RetentionPolicy(table="schedule", reason="A schedule stays until its tenant deletes it."),
    FIRINGS,
    RetentionPolicy(
        table="growth_sample",
        reason="`doctor` tells the future of the disk by the last seven days.",
        days=60,
        minimum=8,
        age="sampled_at",
    ),
    RetentionPolicy(
        table="beat",
        reason="A Beat that has not ticked for a day is gone.",
        days=1,
        age="last_tick_at",
    ),
)

"""The retention of the tables of feeds."""

from typing import Final

from shared.retention import INFRASTRUCTURE, QUOTAS, RetentionPolicy

RUNS: Final = RetentionPolicy(
    table="run",
    reason="A run that has ended is history. The last hundred of each feed stay: its health is "
    "assessed by them.",
    days=30,
    age="finished_at",
    condition="state NOT IN ('queued', 'running') AND 100 <= (SELECT count(*) FROM run newer "
    "WHERE newer.feed_id = run.feed_id AND newer.queued_at > run.queued_at)",
)

POLICIES: Final = (
    *INFRASTRUCTURE,
    *QUOTAS,
    RetentionPolicy(table="feed", reason="A feed stays until its tenant deletes it."),
    RUNS,
    RetentionPolicy(
        table="provider",
        reason="The time of the next polite visit; it means nothing once it has passed.",
        days=1,
        age="next_visit_at",
    ),
    RetentionPolicy(
        table="provider_turn",
        reason="The time of a tenant's next visit; it means nothing once it has passed.",
        days=1,
        age="next_visit_at",
    ),
)

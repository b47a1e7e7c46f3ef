"""The retention of the tables of notifications."""

from typing import Final

from shared.retention import INFRASTRUCTURE, QUOTAS, RetentionPolicy

POLICIES: Final = (
    *INFRASTRUCTURE,
    *QUOTAS,
    RetentionPolicy(table="channel", reason="A channel stays until its tenant deletes it."),
    RetentionPolicy(table="rule", reason="A rule stays until its tenant deletes it."),
    RetentionPolicy(table="rule_version", reason="One row for each tenant."),
    RetentionPolicy(
        table="notified_change",
        reason="It prevents a second notification while the log may repeat a change (seven days).",
        days=8,
        minimum=8,
        age="notified_at",
    ),
    RetentionPolicy(
        table="delivery",
        reason="A delivery carries all its matches. While the log may repeat its event (seven "
        "days), the row prevents a second notification.",
        days=30,
        minimum=8,
        age="finished_at",
        condition="state IN ('delivered', 'failed')",
    ),
)

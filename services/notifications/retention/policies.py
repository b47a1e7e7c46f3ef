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
        condition="state IN ('delivered', 'failed', 'silenced')",
    ),
    RetentionPolicy(
        table="delivery_attempt",
        reason="It tells how a delivery went, as long as that may stay.",
        days=30,
        minimum=8,
        age="attempted_at",
    ),
    RetentionPolicy(
        table="match_group",
        reason="A closed group tells what was matched together.",
        days=30,
        minimum=8,
        age="closed_at",
    ),
    RetentionPolicy(
        table="group_batch",
        reason="It has the matches of an event that groups and digests tell of.",
        days=30,
        minimum=8,
        age="created_at",
        condition="window_number IS NOT NULL",
    ),
    RetentionPolicy(
        table="silence",
        reason="It tells why nobody was notified.",
        days=90,
        minimum=8,
        age="ends_at",
    ),
    RetentionPolicy(table="template", reason="A template stays as long as its rule."),
    RetentionPolicy(table="inhibition", reason="An inhibition stays until its tenant deletes it."),
    RetentionPolicy(
        table="inhibition_firing",
        reason="It tells why nobody was notified; dry runs look at it.",
        days=30,
        minimum=8,
        age="ends_at",
    ),
    RetentionPolicy(
        table="inbox_mark",
        reason="It tells who has read a message, as long as that may stay.",
        days=60,
        minimum=8,
        age="read_at",
    ),
    RetentionPolicy(table="digest", reason="A digest stays until its tenant deletes it."),
    RetentionPolicy(table="watchlist", reason="A watchlist stays until its tenant deletes it."),
    RetentionPolicy(table="watchlist_entry", reason="It stays until its tenant removes it."),
    RetentionPolicy(table="channel_health", reason="It goes when the channel works again."),
    RetentionPolicy(table="quiet_hours", reason="They stay until their tenant removes them."),
)

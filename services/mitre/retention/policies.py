"""The retention of the tables of ATT&CK."""

from typing import Final

from shared.retention import INFRASTRUCTURE, RetentionPolicy

POLICIES: Final = (
    *INFRASTRUCTURE,
    RetentionPolicy(table="source", reason="One row for each domain of ATT&CK."),
    RetentionPolicy(table="release", reason="ATT&CK has about two releases a year; all stay."),
    RetentionPolicy(table="object", reason="Releases share the objects that did not change."),
    RetentionPolicy(table="technique", reason="Releases share the techniques that did not change."),
    RetentionPolicy(
        table="load",
        reason="An import that has ended is a record of who fetched what.",
        days=90,
        age="finished_at",
        condition="state IN ('succeeded', 'unchanged', 'failed')",
    ),
)

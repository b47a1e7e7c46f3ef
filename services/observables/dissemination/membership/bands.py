"""How many entries of a list are normal. No I/O."""

from typing import Final

from services.observables.dissemination.lists.models import ListRow

_SMALL: Final = 100
"""So many entries more, or a fifth of them less, are no disaster, whatever the share is."""


def disaster(row: ListRow, members: int) -> str | None:
    """Why a list is stopped that would have so many members; None if that is normal.

    Args:
        row: the list, with its baseline: how many entries it had when it was last judged normal.
        members: how many it would have.
    """
    baseline = row.baseline
    if not baseline:
        return None
    if not members:
        return "it would be empty"
    lost = 100 * (baseline - members) / baseline
    if row.max_shrink is not None and lost > row.max_shrink and baseline - members > _SMALL // 5:
        return f"it would lose {lost:.0f} % of its {baseline:,} entries"
    if row.max_growth is not None and -lost > row.max_growth and members - baseline > _SMALL:
        return f"it would grow from {baseline:,} entries to {members:,}"
    return None

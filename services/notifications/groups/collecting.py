"""What groups have collected for a digest, for the digest to tell."""

from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.groups import repository
from services.notifications.groups.engine import WaitingBatch


def collect_batches(
    session: Session, digest_id: UUID, window_number: int
) -> dict[str, list[WaitingBatch]]:
    """Take what waits for a digest, by the names of the rules; it is told by nobody else.

    Args:
        session: a transaction of the platform, which has locked the digest.
        digest_id: the digest.
        window_number: the number of its due time.
    """
    by_rule: dict[str, list[WaitingBatch]] = {}
    for group in repository.take_digest_groups(session, digest_id):
        rows = repository.waiting_batches(session, group.id, None)
        if not rows:
            continue
        repository.mark_told(session, [row.id for row in rows], window_number)
        count = sum(row.match_count for row in rows)
        values = {
            "window_number": window_number,
            "match_count": group.match_count + count,
            "last_match_at": max(row.event_at for row in rows),
        }
        repository.change(session, group.id, values)
        by_rule.setdefault(group.rule, []).extend(
            WaitingBatch(row.source, row.event_at, row.match_count, row.matches) for row in rows
        )
    return by_rule

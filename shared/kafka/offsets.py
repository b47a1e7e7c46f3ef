"""The offsets that a consumer group has handled, stored in the service's own schema.

Offsets are valid within one Kafka cluster only: a log that was formatted anew starts at zero again.
The stored name of the group therefore contains the cluster's id.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Session

from shared.database import PLATFORM, Database
from shared.kafka.cluster import administrator
from shared.settings import Settings

OFFSETS = sa.table(
    "consumer_offset",
    sa.column("consumer_group", sa.Text),
    sa.column("topic", sa.Text),
    sa.column("partition", sa.Integer),
    sa.column("last_offset", sa.BigInteger),
)
# The update changes nothing, but locks a row that exists, as FOR UPDATE would.
_LOCK = sa.text(
    "INSERT INTO consumer_offset AS present (consumer_group, topic, partition, last_offset) "
    "VALUES (:consumer_group, :topic, :partition, -1) "
    "ON CONFLICT (consumer_group, topic, partition) "
    "DO UPDATE SET last_offset = present.last_offset RETURNING last_offset"
)


async def cluster_id(settings: Settings) -> str:
    """Return the Kafka cluster's id."""
    async with administrator(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def _qualified(cluster: str, group: str) -> str:
    return f"{group}@{cluster}"


class OffsetRow:
    """A partition's row, locked until the transaction ends.

    Attributes:
        last: the last offset whose effects are committed; -1 if there is none.
    """

    def __init__(
        self, session: Session, cluster: str, group: str, topic: str, partition: int
    ) -> None:
        self._session = session
        self._key = {
            "consumer_group": _qualified(cluster, group),
            "topic": topic,
            "partition": partition,
        }
        self.last: int = session.execute(_LOCK, self._key).scalar_one()

    def advance(self, offset: int) -> None:
        """Record that this transaction applies all records up to and including an offset."""
        is_own_row = [OFFSETS.c[name] == value for name, value in self._key.items()]
        statement = sa.update(OFFSETS).where(*is_own_row).values(last_offset=offset)
        self._session.execute(statement)


def stored_offsets(database: Database, cluster: str, group: str) -> dict[tuple[str, int], int]:
    """Return the last applied offsets by topic and partition."""
    query = sa.select(OFFSETS).where(OFFSETS.c.consumer_group == _qualified(cluster, group))
    with database.transaction(PLATFORM) as session:
        return {(row.topic, row.partition): row.last_offset for row in session.execute(query)}

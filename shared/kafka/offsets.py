"""How far a consumer group came, kept in the service's own schema.

Offsets mean something only within one Kafka cluster: a log that was formatted anew starts at zero again, so the
cluster's id is part of the group's name here.
"""

from functools import partial

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
_TAKE = sa.text(
    "INSERT INTO consumer_offset AS mine (consumer_group, topic, partition, last_offset) "
    "VALUES (:consumer_group, :topic, :partition, -1) "
    "ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET last_offset = mine.last_offset RETURNING last_offset"
)


async def cluster_id(settings: Settings) -> str:
    """The Kafka cluster's own id."""
    async with administrator(settings) as admin:
        return str((await admin.describe_cluster())["cluster_id"])


def _qualified(cluster: str, group: str) -> str:
    return f"{group}@{cluster}"


class OffsetRow:
    """A partition's row, locked until the transaction ends.

    Attributes:
        last: the last offset whose effects are committed; -1 for none.
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
        self.last: int = session.execute(_TAKE, self._key).scalar_one()

    def advance(self, offset: int) -> None:
        """Everything up to and including this offset is applied by this transaction."""
        same = partial(getattr, OFFSETS.c)
        self._session.execute(
            sa.update(OFFSETS)
            .where(*(same(name) == value for name, value in self._key.items()))
            .values(last_offset=offset)
        )


def stored_offsets(database: Database, cluster: str, group: str) -> dict[tuple[str, int], int]:
    """The last applied offset by topic and partition."""
    query = sa.select(OFFSETS).where(OFFSETS.c.consumer_group == _qualified(cluster, group))
    with database.transaction(PLATFORM) as session:
        return {(row.topic, row.partition): row.last_offset for row in session.execute(query)}

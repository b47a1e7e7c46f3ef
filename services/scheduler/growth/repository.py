"""SQL of measured sizes."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.orm import Session

from services.scheduler.growth.models import GROWTH_SAMPLE
from services.scheduler.growth.sizes import PartSize
from shared.database import PLATFORM

_DATABASE_SIZE: Final = sa.text("SELECT pg_database_size(current_database())")


def database_size(session: Session) -> int:
    """Bytes of the database with all schemas."""
    return int(session.execute(_DATABASE_SIZE).scalar_one())


def insert_samples(session: Session, sizes: Iterable[PartSize]) -> None:
    """Store the sizes of all parts as of the database's time."""
    rows = [
        {
            "tenant": PLATFORM,
            "part": size.part,
            "sampled_at": sa.func.now(),
            "bytes": size.bytes,
            "free_bytes": size.free_bytes,
        }
        for size in sizes
    ]
    session.execute(sa.insert(GROWTH_SAMPLE).values(rows))

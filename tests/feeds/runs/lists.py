"""Lists, killed workers and rows: what the tests of runs share."""

from typing import Any

import pytest
import sqlalchemy as sa

from services.feeds.runs.leased_run import LeasedRun
from shared.database import PLATFORM, Database
from tests.feeds.conftest import Desk


def listed(*numbers: int) -> bytes:
    return "\n".join(["# a list", *(f"203.0.113.{number}" for number in numbers)]).encode()


def names(*numbers: int) -> set[str]:
    return {f"203.0.113.{number}" for number in numbers}


class Killed(BaseException):
    """The process ends here."""


def kill_worker(*_: object, **__: object) -> None:
    raise Killed


def work_until_killed(desk: Desk, run: dict[str, Any], place: str = "finish") -> None:
    """Work on a run; the worker is killed at a place, and its lease ends."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LeasedRun, place, kill_worker)
        with pytest.raises(Killed):
            desk.work(run)
    change(desk.own, "UPDATE run SET lease_until = now() - interval '1s' WHERE state = 'running'")


def change(own: Database, statement: str, **values: object) -> None:
    with own.transaction(PLATFORM) as session:
        session.execute(sa.text(statement), values)


def column(own: Database, query: str, **values: object) -> Any:
    with own.transaction(PLATFORM) as session:
        return session.execute(sa.text(query), values).scalar_one()

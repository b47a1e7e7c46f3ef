"""Reference data as a process holds it: what is made of packed sets, and made anew when there are newer ones."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final, Generic, TypeVar

from sqlalchemy.orm import Session

from services.observables.reference import repository
from services.observables.reference.mapped_files import mapped
from shared.database import PUBLIC, Database

LOOK_EVERY: Final = 60.0
"""Seconds after which a process looks for newer data: so long two processes may say different things."""

T = TypeVar("T")


class ReloadingCache(Generic[T]):
    """Something made of reference data.

    Args:
        names: of the sets.
        make: makes it of the packed sets that are here, by name; those that nobody has fetched yet are not among them.
    """

    def __init__(
        self, names: Collection[str], make: Callable[[Mapping[str, bytes | memoryview]], T]
    ) -> None:
        self._names, self._make = frozenset(names), make
        self._digests: dict[str, str] = {}
        self._look_again = 0.0
        self._value: T | None = None

    @property
    def value(self) -> T:
        """It, of the data that was here when it was looked for last."""
        if self._value is None:
            self._value = self._make({})
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._value = value

    def reload_if_stale(self, session: Session, *, now: bool = False) -> None:
        """Make it anew if there is newer data; looked for once a minute, or `now`."""
        if not now and time.monotonic() < self._look_again:
            return
        self._look_again = (
            time.monotonic() + LOOK_EVERY
        )  # one thread looks, the others go on with what is here
        digests = {
            name: digest
            for name, digest in repository.digests(session).items()
            if name in self._names
        }
        if digests != self._digests:
            fetched = {
                name: mapped(name, one, partial(repository.packed, session, name))
                for name, one in digests.items()
            }
            self._value, self._digests = self._make(fetched), digests

    def reload_if_stale_from(self, database: Database) -> None:
        """`reload_if_stale` for whoever has no transaction at hand: none is opened when it is not time to look."""
        if time.monotonic() >= self._look_again:
            self._look_again = time.monotonic() + LOOK_EVERY
            with database.transaction(PUBLIC) as session:
                self.reload_if_stale(session, now=True)

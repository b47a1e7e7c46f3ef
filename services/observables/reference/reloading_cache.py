"""A value built from datasets, for one process; it is built anew when there are newer ones."""

import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final, Generic, TypeVar

from sqlalchemy.orm import Session

from services.observables.reference import repository
from services.observables.reference.mapped_files import map_dataset
from shared.database import PUBLIC, Database

CHECK_INTERVAL: Final = 60.0
"""Seconds between looks for newer data: for so long, two processes may use different data."""

T = TypeVar("T")


class ReloadingCache(Generic[T]):
    """A value built from datasets.

    Args:
        names: of the datasets.
        build: makes the value of the packed datasets, by name; those never obtained are missing.
    """

    def __init__(
        self, names: Collection[str], build: Callable[[Mapping[str, bytes | memoryview]], T]
    ) -> None:
        self._names = frozenset(names)
        self._build = build
        self._digests: dict[str, str] = {}
        self._next_check = 0.0
        self._value: T | None = None

    @property
    def value(self) -> T:
        """The cached value, built from the newest data seen."""
        if self._value is None:
            self._value = self._build({})
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        self._value = value

    def reload_if_stale(self, session: Session, *, now: bool = False) -> None:
        """Rebuild the value if there is newer data; looks once a minute, or `now`."""
        if not now and time.monotonic() < self._next_check:
            return
        # Moved on before the work: one thread looks, the others go on with the present value.
        self._next_check = time.monotonic() + CHECK_INTERVAL
        digests = {
            name: digest
            for name, digest in repository.digests(session).items()
            if name in self._names
        }
        if digests != self._digests:
            blobs = {
                name: map_dataset(name, digest, partial(repository.packed_bytes, session, name))
                for name, digest in digests.items()
            }
            self._value = self._build(blobs)
            self._digests = digests

    def reload_if_stale_from(self, database: Database) -> None:
        """The same for a caller without a transaction: opens one only when a look is due."""
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + CHECK_INTERVAL
            with database.transaction(PUBLIC) as session:
                self.reload_if_stale(session, now=True)

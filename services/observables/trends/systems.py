"""Which autonomous system an address belongs to: the reference data as the trends' process reads it."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Final

from services.observables.reference import networks, store
from services.observables.reference.mapped import mapped
from services.observables.reference.networks import Networks
from shared.database import PUBLIC, Database
from shared.errors import Unavailable
from shared.logging import get_logger

log = get_logger(__name__)

_DATASET: Final = "networks"
_LOOK_EVERY: Final = 60.0


class Systems:
    """The tables of networks, renewed when there are newer ones.

    Args:
        database: the observables service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tables = Networks(networks.pack([]))
        self._digest: str | None = None
        self._look_again = 0.0

    def freshen(self) -> None:
        """Look for newer tables, once a minute; while the database is away those that are here are used."""
        if time.monotonic() < self._look_again:
            return
        self._look_again = time.monotonic() + _LOOK_EVERY
        try:
            with self._database.transaction(PUBLIC) as session:
                digest = store.digests(session).get(_DATASET)
                if digest is not None and digest != self._digest:
                    blob = mapped(_DATASET, digest, partial(store.packed, session, _DATASET))
                    self._tables, self._digest = Networks(blob), digest
        except Unavailable as error:
            log.warning("trends.networks_not_read", reason=error.message)

    def numbers_of(self, type_: str, values: Sequence[str]) -> list[int | None]:
        """The number of each address's autonomous system; None where none is known."""
        try:
            found = self._tables.find_many(type_, values)
        except (OSError, ValueError):
            # One of them is no address, whatever it calls itself; it must not take the others with it.
            return [self._number_of(type_, value) for value in values]
        return [network.asn if network else None for network in found]

    def _number_of(self, type_: str, value: str) -> int | None:
        try:
            (network,) = self._tables.find_many(type_, [value])
        except (OSError, ValueError):
            return None
        return network.asn if network else None

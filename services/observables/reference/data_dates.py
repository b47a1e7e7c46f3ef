"""The dates of the reference data behind answers: read once a minute, shown with every answer."""

import asyncio
import time
from typing import Final

import msgspec

from services.observables.reference import repository
from services.observables.reference.datasets import ATTACK
from services.observables.reference.enrichers.allow_lists import AllowLists
from services.observables.reference.enrichers.known_exploited import KnownExploitedEnricher
from services.observables.reference.enrichers.network import NetworkEnricher
from services.observables.reference.reloading_cache import CHECK_INTERVAL
from shared.database import PUBLIC, Database

UNKNOWN: Final = msgspec.Raw(b"{}")
"""No dates: those of the past are not recorded."""

_SHOWN_AS: Final = {
    "warninglists": AllowLists.name,
    "networks": NetworkEnricher.name,
    "exploited": KnownExploitedEnricher.name,
    ATTACK: "attack",
}


class DatasetDates:
    """The date of the data that each part of a context, and `attack`, rests on.

    Everything stored was described with data of that date or newer.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._dates = UNKNOWN
        self._next_check = 0.0

    async def get_async(self) -> msgspec.Raw:
        """The dates by their names in a context, as JSON, for a caller on the event loop."""
        if time.monotonic() >= self._next_check:
            if self._dates is not UNKNOWN:
                # One caller reads them again, the others go on with the present ones.
                self._next_check = time.monotonic() + CHECK_INTERVAL
            await asyncio.to_thread(self._read)
        return self._dates

    def get(self) -> msgspec.Raw:
        """The dates, for a caller that may wait for the database."""
        if time.monotonic() >= self._next_check:
            self._read()
        return self._dates

    def _read(self) -> None:
        with self._database.transaction(PUBLIC) as session:
            dates = repository.dates(session)
        shown = {name: dates[dataset] for dataset, name in _SHOWN_AS.items() if dataset in dates}
        self._dates = msgspec.Raw(msgspec.json.encode(shown))
        self._next_check = time.monotonic() + CHECK_INTERVAL

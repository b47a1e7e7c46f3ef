"""How old the reference data is that answers stand on: looked up once a minute, told with every answer."""

import asyncio
import time
from typing import Final

import msgspec

from services.observables.attack import current_index
from services.observables.reference import repository
from services.observables.reference.enrichers.allow_lists import AllowLists
from services.observables.reference.enrichers.known_exploited import KnownExploitedEnricher
from services.observables.reference.enrichers.network import NetworkEnricher
from shared.database import PUBLIC, Database

UNKNOWN: Final = msgspec.Raw(b"{}")
"""No dates: of the past they are not recorded."""

_LOOK_EVERY: Final = 60.0
_SHOWN_AS: Final = {
    "warninglists": AllowLists.name,
    "networks": NetworkEnricher.name,
    "exploited": KnownExploitedEnricher.name,
    current_index.NAME: "attack",
}


class Dates:
    """The date of the data that each part of a context, and `attack`, stand on.

    Everything stored was described with data of that date or newer.

    Args:
        database: the service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known = UNKNOWN
        self._look_again = 0.0

    async def soon(self) -> msgspec.Raw:
        """The dates by what they are shown as, as JSON, for a caller on the event loop."""
        if time.monotonic() >= self._look_again:
            if self._known is not UNKNOWN:
                self._look_again = (
                    time.monotonic() + _LOOK_EVERY
                )  # one looks, the others go on with what is known
            await asyncio.to_thread(self._look)
        return self._known

    def now(self) -> msgspec.Raw:
        """The dates, for a caller that may wait for the database."""
        if time.monotonic() >= self._look_again:
            self._look()
        return self._known

    def _look(self) -> None:
        with self._database.transaction(PUBLIC) as session:
            found = repository.dates(session)
        shown = {_SHOWN_AS[name]: found[name] for name in _SHOWN_AS if name in found}
        self._known = msgspec.Raw(msgspec.json.encode(shown))
        self._look_again = time.monotonic() + _LOOK_EVERY

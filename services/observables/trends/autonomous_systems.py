"""The autonomous systems of addresses, for the trends' process."""

from collections.abc import Sequence
from typing import Final

from services.observables.reference import networks
from services.observables.reference.networks import Networks
from services.observables.reference.reloading_cache import ReloadingCache
from shared.database import Database
from shared.errors import Unavailable
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

_DATASET: Final = "networks"


class AutonomousSystems:
    """The tables of networks, reloaded when there are newer ones.

    Args:
        database: the observables service's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._networks = ReloadingCache(
            [_DATASET], lambda blobs: Networks(blobs.get(_DATASET) or networks.pack([]))
        )

    def reload_if_stale(self) -> None:
        """Look for newer tables once a minute; without the database the loaded ones stay in use."""
        try:
            self._networks.reload_if_stale_from(self._database)
        except Unavailable as error:
            log.warning("trends.networks_reload_failed", reason=error.message)

    def numbers_of(self, type_: str, values: Sequence[str]) -> list[int | None]:
        """The number of each address's autonomous system; None where none is known."""
        try:
            matches = self._networks.value.find_many(type_, values)
        except (OSError, ValueError):
            # One of the values is no address; it must not spoil the others.
            return [self._number_of(type_, value) for value in values]
        return [network.asn if network else None for network in matches]

    def _number_of(self, type_: str, value: str) -> int | None:
        try:
            (network,) = self._networks.value.find_many(type_, [value])
        except (OSError, ValueError):
            return None
        return network.asn if network else None

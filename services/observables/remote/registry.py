"""Which remote enrichers there are: ours, and those of installed packages (entry points `sentineliq.enrichers`)."""

from functools import cache
from importlib.metadata import entry_points
from typing import Final

from services.observables.remote.abuseipdb import AbuseIPDB
from services.observables.remote.base import RemoteEnricher
from services.observables.remote.shodan_internetdb import ShodanInternetDB
from shared.errors import NotFound
from shared.logging import get_logger

log = get_logger(__name__)

GROUP: Final = "sentineliq.enrichers"

OURS: Final[tuple[type[RemoteEnricher], ...]] = (
    AbuseIPDB,
    ShodanInternetDB,
)


@cache
def enrichers() -> dict[str, RemoteEnricher]:
    """All of them by name: ours, and those of installed packages under names that are not taken."""
    found: dict[str, RemoteEnricher] = {one.name: one() for one in OURS}
    for entry in entry_points(group=GROUP):
        try:
            enricher: RemoteEnricher = entry.load()()
        except Exception:  # a broken package of a third party must not silence every other enricher
            log.exception("enricher.not_loaded", entry_point=entry.value)
        else:
            found.setdefault(enricher.name, enricher)
    return found


def enricher_named(name: str) -> RemoteEnricher:
    """An enricher.

    Raises:
        NotFound: there is none of that name.
    """
    try:
        return enrichers()[name]
    except KeyError:
        raise NotFound(f"There is no remote enricher named {name!r}; `GET /v1/enrichers` lists them.") from None

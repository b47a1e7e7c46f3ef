"""The offline enrichers of this installation."""

from collections.abc import Mapping

from services.observables.reference import kev_catalog, networks, warning_lists
from services.observables.reference.enrichers.allow_lists import AllowLists
from services.observables.reference.enrichers.base import OfflineEnricher
from services.observables.reference.enrichers.domain_name import DomainNameEnricher
from services.observables.reference.enrichers.domain_shape import DomainShapeEnricher
from services.observables.reference.enrichers.known_exploited import KnownExploitedEnricher
from services.observables.reference.enrichers.network import NetworkEnricher
from services.observables.reference.enrichers.special_ranges import SpecialRangeEnricher
from services.observables.reference.kev_catalog import KevCatalog
from services.observables.reference.networks import Networks
from services.observables.reference.warning_list_index import WarningListIndex


def create_enrichers(blobs: Mapping[str, bytes | memoryview]) -> list[OfflineEnricher]:
    """All offline enrichers over packed datasets, by name.

    An enricher without its dataset finds nothing, but still knows the weight of stored facts.
    """
    lists = blobs.get("warninglists") or warning_lists.pack([])
    tables = blobs.get("networks") or networks.pack([])
    catalogue = blobs.get("exploited") or kev_catalog.pack([])
    return [
        DomainNameEnricher(),
        DomainShapeEnricher(),
        SpecialRangeEnricher(),
        NetworkEnricher(Networks(tables)),
        KnownExploitedEnricher(KevCatalog(catalogue)),
        AllowLists(WarningListIndex(lists)),
    ]

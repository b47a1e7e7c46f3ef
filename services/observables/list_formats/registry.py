"""The list formats by name."""

from functools import cache
from typing import Final

from services.observables.list_formats.base import ListFormat
from services.observables.list_formats.cidr import CidrFormat
from services.observables.list_formats.csv_table import CsvTableFormat
from services.observables.list_formats.dnsmasq import DnsmasqListFormat
from services.observables.list_formats.firewalls import FIREWALLS
from services.observables.list_formats.hosts import HostsListFormat
from services.observables.list_formats.json_lines import JsonLinesFormat
from services.observables.list_formats.misp_event import MispListFormat, MispManifestFormat
from services.observables.list_formats.misp_hashes import MispHashesFormat
from services.observables.list_formats.netfilter import IpsetListFormat, NftablesListFormat
from services.observables.list_formats.plain import PlainFormat
from services.observables.list_formats.queries import QUERIES
from services.observables.list_formats.rpz import RpzListFormat
from services.observables.list_formats.sigma import SigmaListFormat
from services.observables.list_formats.stix_bundle import StixListFormat
from services.observables.list_formats.suricata import (
    DATASETS,
    IprepListFormat,
    SuricataRulesListFormat,
)
from services.observables.list_formats.unbound import UnboundListFormat
from services.observables.list_formats.zeek import ZeekListFormat
from shared.errors import InvalidInput
from shared.plugins import load_plugins

GROUP: Final = "sentineliq.list_formats"
"""Entry points of this group are classes that implement `ListFormat`."""

_BUILT_IN: Final[tuple[ListFormat, ...]] = (
    PlainFormat(),
    CsvTableFormat(),
    JsonLinesFormat(),
    CidrFormat(),
    HostsListFormat(),
    DnsmasqListFormat(),
    RpzListFormat(),
    UnboundListFormat(),
    NftablesListFormat(),
    IpsetListFormat(),
    SuricataRulesListFormat(),
    *DATASETS,
    IprepListFormat(),
    ZeekListFormat(),
    *FIREWALLS,
    *QUERIES,
    SigmaListFormat(),
    StixListFormat(),
    MispListFormat(),
    MispManifestFormat(),
    MispHashesFormat(),
)


@cache
def list_formats() -> dict[str, ListFormat]:
    """All list formats by name: the built-in ones, then those of installed packages."""
    built_in: dict[str, ListFormat] = {each.name: each for each in _BUILT_IN}
    return built_in | load_plugins(GROUP, built_in)


def list_format_named(name: str) -> ListFormat:
    """Return the format of that name.

    Raises:
        InvalidInput: there is none; the message lists the names.
    """
    list_format = list_formats().get(name)
    if list_format is None:
        names = ", ".join(sorted(list_formats()))
        raise InvalidInput(f"There is no format {name}; there are {names}.", field="format")
    return list_format

"""All remote enrichers: the built-in ones, and those of installed packages.

A package offers an enricher as an entry point in the group `sentineliq.enrichers`.
"""

from functools import cache
from typing import Final

from services.observables.providers.abuseipdb import AbuseIPDB
from services.observables.providers.base import RemoteEnricher
from services.observables.providers.censys import Censys
from services.observables.providers.circl_hashlookup import CirclHashlookup
from services.observables.providers.circl_pdns import CirclPassiveDns
from services.observables.providers.circl_vulnerability import CirclVulnerability
from services.observables.providers.cloudflare_security import CloudflareSecurity
from services.observables.providers.criminalip import CriminalIP
from services.observables.providers.crowdsec import CrowdSec
from services.observables.providers.crt_sh import CrtSh
from services.observables.providers.epss import EPSS
from services.observables.providers.google_dns import GoogleDNS
from services.observables.providers.google_safe_browsing import GoogleSafeBrowsing
from services.observables.providers.greynoise import GreyNoise
from services.observables.providers.haveibeenpwned import HaveIBeenPwned
from services.observables.providers.hybrid_analysis import HybridAnalysis
from services.observables.providers.ipinfo import IPinfo
from services.observables.providers.isc_dshield import IscDShield
from services.observables.providers.leakix import LeakIX
from services.observables.providers.malwarebazaar import MalwareBazaar
from services.observables.providers.mnemonic_pdns import MnemonicPDNS
from services.observables.providers.nvd import NVD
from services.observables.providers.otx import OTX
from services.observables.providers.pulsedive import Pulsedive
from services.observables.providers.rdap import RDAP
from services.observables.providers.securitytrails import SecurityTrails
from services.observables.providers.shodan import Shodan
from services.observables.providers.shodan_internetdb import ShodanInternetDB
from services.observables.providers.stopforumspam import StopForumSpam
from services.observables.providers.team_cymru_asn import TeamCymruASN
from services.observables.providers.team_cymru_mhr import TeamCymruMHR
from services.observables.providers.threatfox import ThreatFox
from services.observables.providers.tor_exits import TorExits
from services.observables.providers.urlhaus import URLhaus
from services.observables.providers.urlscan import Urlscan
from services.observables.providers.virustotal import VirusTotal
from services.observables.providers.yaraify import YARAify
from shared.errors import NotFound
from shared.plugins import load_plugins

ENTRY_POINT_GROUP: Final = "sentineliq.enrichers"

BUILT_IN: Final[tuple[type[RemoteEnricher], ...]] = (
    AbuseIPDB,
    Censys,
    CirclHashlookup,
    CirclPassiveDns,
    CirclVulnerability,
    CloudflareSecurity,
    CriminalIP,
    CrowdSec,
    CrtSh,
    EPSS,
    GoogleDNS,
    GoogleSafeBrowsing,
    GreyNoise,
    HaveIBeenPwned,
    HybridAnalysis,
    IPinfo,
    IscDShield,
    LeakIX,
    MalwareBazaar,
    MnemonicPDNS,
    NVD,
    OTX,
    Pulsedive,
    RDAP,
    SecurityTrails,
    Shodan,
    ShodanInternetDB,
    StopForumSpam,
    TeamCymruASN,
    TeamCymruMHR,
    ThreatFox,
    TorExits,
    URLhaus,
    Urlscan,
    VirusTotal,
    YARAify,
)


@cache
def enrichers() -> dict[str, RemoteEnricher]:
    """All enrichers by name; an installed one under the name of a built-in one is not loaded."""
    built_in: dict[str, RemoteEnricher] = {enricher.name: enricher() for enricher in BUILT_IN}
    return built_in | load_plugins(ENTRY_POINT_GROUP, built_in)


def enricher_named(name: str) -> RemoteEnricher:
    """Return an enricher.

    Raises:
        NotFound: there is none of that name.
    """
    try:
        return enrichers()[name]
    except KeyError:
        raise NotFound(
            f"There is no remote enricher named {name!r}; `GET /v1/enrichers` lists them."
        ) from None


@cache
def origin_of(name: str) -> str:
    """Whose observations the answers of an enricher repeat.

    Feeds of the same origin and the enricher are one witness. An enricher that is not installed any
    more, and whose answers are still stored, is an origin of its own.
    """
    enricher = enrichers().get(name)
    return (enricher.origin if enricher else "") or name.replace("_", "-")

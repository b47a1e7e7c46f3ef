"""Which remote enrichers there are: ours, and those of installed packages (entry points `sentineliq.enrichers`)."""

from functools import cache
from typing import Final

from services.observables.remote.abuseipdb import AbuseIPDB
from services.observables.remote.base import RemoteEnricher
from services.observables.remote.censys import Censys
from services.observables.remote.circl_hashlookup import CirclHashlookup
from services.observables.remote.circl_pdns import CirclPassiveDns
from services.observables.remote.circl_vulnerability import CirclVulnerability
from services.observables.remote.cloudflare_security import CloudflareSecurity
from services.observables.remote.criminalip import CriminalIP
from services.observables.remote.crowdsec import CrowdSec
from services.observables.remote.crt_sh import CrtSh
from services.observables.remote.epss import EPSS
from services.observables.remote.google_dns import GoogleDNS
from services.observables.remote.google_safe_browsing import GoogleSafeBrowsing
from services.observables.remote.greynoise import GreyNoise
from services.observables.remote.haveibeenpwned import HaveIBeenPwned
from services.observables.remote.hybrid_analysis import HybridAnalysis
from services.observables.remote.ipinfo import IPinfo
from services.observables.remote.isc_dshield import IscDShield
from services.observables.remote.leakix import LeakIX
from services.observables.remote.malwarebazaar import MalwareBazaar
from services.observables.remote.mnemonic_pdns import MnemonicPDNS
from services.observables.remote.nvd import NVD
from services.observables.remote.otx import OTX
from services.observables.remote.pulsedive import Pulsedive
from services.observables.remote.rdap import RDAP
from services.observables.remote.securitytrails import SecurityTrails
from services.observables.remote.shodan import Shodan
from services.observables.remote.shodan_internetdb import ShodanInternetDB
from services.observables.remote.stopforumspam import StopForumSpam
from services.observables.remote.team_cymru_asn import TeamCymruASN
from services.observables.remote.team_cymru_mhr import TeamCymruMHR
from services.observables.remote.threatfox import ThreatFox
from services.observables.remote.tor_exits import TorExits
from services.observables.remote.urlhaus import URLhaus
from services.observables.remote.urlscan import Urlscan
from services.observables.remote.virustotal import VirusTotal
from services.observables.remote.yaraify import YARAify
from shared.errors import NotFound
from shared.plugins import offered

GROUP: Final = "sentineliq.enrichers"

OURS: Final[tuple[type[RemoteEnricher], ...]] = (
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
    """All of them by name: ours, and those of installed packages under names that are not taken."""
    found: dict[str, RemoteEnricher] = {one.name: one() for one in OURS}
    return found | offered(GROUP, found)


def enricher_named(name: str) -> RemoteEnricher:
    """An enricher.

    Raises:
        NotFound: there is none of that name.
    """
    try:
        return enrichers()[name]
    except KeyError:
        raise NotFound(f"There is no remote enricher named {name!r}; `GET /v1/enrichers` lists them.") from None

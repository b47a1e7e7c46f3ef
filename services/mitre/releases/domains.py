"""The ATT&CK domains and where MITRE publishes each.

Source: https://github.com/mitre-attack/attack-stix-data; the address without a version is that of
the newest release.
"""

from dataclasses import dataclass
from typing import Final, Literal

DomainName = Literal["enterprise-attack", "mobile-attack", "ics-attack"]

_PUBLISHED: Final = "https://raw.githubusercontent.com/mitre-attack/attack-stix-data/master"


@dataclass(frozen=True, slots=True)
class Domain:
    """One domain.

    Attributes:
        name: as its matrix and `x_mitre_domains` name it.
        title: for people.
        url: its newest release as a STIX 2.1 bundle.
        enabled: whether it is refreshed on a schedule, unless an operator decides otherwise.
    """

    name: DomainName
    title: str
    url: str
    enabled: bool = True


DOMAINS: Final[dict[str, Domain]] = {
    domain.name: domain
    for domain in (
        Domain(
            "enterprise-attack",
            "Enterprise",
            f"{_PUBLISHED}/enterprise-attack/enterprise-attack.json",
        ),
        Domain("mobile-attack", "Mobile", f"{_PUBLISHED}/mobile-attack/mobile-attack.json"),
        Domain("ics-attack", "ICS", f"{_PUBLISHED}/ics-attack/ics-attack.json"),
    )
}
"""By name, in the order in which a technique of several domains is looked up."""

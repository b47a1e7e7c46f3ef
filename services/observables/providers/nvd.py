"""NVD: NIST's view of the severity, weaknesses and products of a vulnerability.

Source: https://nvd.nist.gov/developers/vulnerabilities
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import LocalText, collect_facts, distinct, english_text
from shared.stix import ObservableType as Type

_MAX_REFERENCES: Final = 20


class _Score(msgspec.Struct, rename="camel"):
    base_score: float
    base_severity: str | None = None
    vector_string: str | None = None


class _Metric(msgspec.Struct, rename="camel"):
    cvss_data: _Score
    type: str | None = None
    base_severity: str | None = None


class _Metrics(msgspec.Struct):
    v4: list[_Metric] = msgspec.field(default_factory=list, name="cvssMetricV40")
    v31: list[_Metric] = msgspec.field(default_factory=list, name="cvssMetricV31")
    v30: list[_Metric] = msgspec.field(default_factory=list, name="cvssMetricV30")
    v2: list[_Metric] = msgspec.field(default_factory=list, name="cvssMetricV2")


class _Weakness(msgspec.Struct):
    description: list[LocalText]


class _Match(msgspec.Struct):
    criteria: str
    vulnerable: bool = True


class _Node(msgspec.Struct, rename="camel"):
    cpe_match: list[_Match] = []


class _Configuration(msgspec.Struct):
    nodes: list[_Node] = []


class _Reference(msgspec.Struct):
    url: str


class _Cve(msgspec.Struct, rename="camel"):
    id: str
    descriptions: list[LocalText]
    vuln_status: str | None = None
    published: str | None = None
    last_modified: str | None = None
    cisa_exploit_add: str | None = None
    cisa_vulnerability_name: str | None = None
    metrics: _Metrics = msgspec.field(default_factory=_Metrics)
    weaknesses: list[_Weakness] = []
    configurations: list[_Configuration] = []
    references: list[_Reference] = []


class _Item(msgspec.Struct):
    cve: _Cve


class _Answer(msgspec.Struct):
    vulnerabilities: list[_Item]


class NVD(RemoteEnricher):
    """The National Vulnerability Database."""

    name: ClassVar[str] = "nvd"
    title: ClassVar[str] = "NVD"
    documentation: ClassVar[str] = "https://nvd.nist.gov/developers/vulnerabilities"
    base_url: ClassVar[str] = "https://services.nvd.nist.gov"
    types: ClassVar[frozenset[str]] = frozenset({Type.VULNERABILITY})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    key_optional: ClassVar[bool] = True
    rate: ClassVar[RateLimit] = RateLimit(5, 30)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=2)
    timeout: ClassVar[float] = 30.0
    unknown_statuses: ClassVar[frozenset[int]] = frozenset()
    over_quota_statuses: ClassVar[frozenset[int]] = frozenset({403, 429})
    # 404: the key is not known.
    key_statuses: ClassVar[frozenset[int]] = frozenset({401, 404})
    test_query: ClassVar[Query] = Query(Type.VULNERABILITY, "CVE-2021-44228")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /rest/json/cves/2.0`, with the key, if any, in a header."""
        auth = {"apiKey": key["key"]} if key.get("key") else {}
        return Request("/rest/json/cves/2.0", {"cveId": query.value}, auth_headers=auth)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read a vulnerability; the list is empty for an unknown one.

        Exploitation that CISA lists is a claim; the severity (CVSS, 0 to 10) is a fact.
        """
        answer = msgspec.json.decode(content, type=_Answer)
        matching = (
            item.cve for item in answer.vulnerabilities if item.cve.id.upper() == query.value
        )
        cve = next(matching, None)
        if cve is None:
            return None
        facts = _record_facts(cve) | _severity_facts(cve.metrics) | _scope_facts(cve)
        if not cve.cisa_exploit_add:
            return Finding(facts)
        reason = f"on CISA's list of exploited vulnerabilities since {cve.cisa_exploit_add}."
        return Finding(facts, (Weight(0.9, reason),))


def _record_facts(cve: _Cve) -> dict[str, Fact]:
    return collect_facts(
        description=english_text(cve.descriptions),
        status=cve.vuln_status,
        published=cve.published,
        modified=cve.last_modified,
        exploited_since=cve.cisa_exploit_add,
        exploited_as=cve.cisa_vulnerability_name,
        references=distinct((reference.url for reference in cve.references), _MAX_REFERENCES),
    )


def _severity_facts(metrics: _Metrics) -> dict[str, Fact]:
    metric = _best_metric(metrics)
    if metric is None:
        return {}
    severity = metric.cvss_data.base_severity or metric.base_severity
    return collect_facts(
        cvss=metric.cvss_data.base_score,
        severity=severity.lower() if severity else None,
        vector=metric.cvss_data.vector_string,
    )


def _scope_facts(cve: _Cve) -> dict[str, Fact]:
    """Weaknesses and affected products."""
    weaknesses = [text.value for weakness in cve.weaknesses for text in weakness.description]
    matches: list[_Match] = []
    for configuration in cve.configurations:
        for node in configuration.nodes:
            matches += node.cpe_match
    return collect_facts(
        weaknesses=distinct(value for value in weaknesses if value.startswith("CWE-")),
        products=distinct(_product(match.criteria) for match in matches if match.vulnerable),
    )


def _best_metric(metrics: _Metrics) -> _Metric | None:
    """NIST's own metric of the newest version of CVSS, else the newest of another source."""
    newest_first = [*metrics.v4, *metrics.v31, *metrics.v30, *metrics.v2]
    primary = [metric for metric in newest_first if metric.type == "Primary"]
    return next(iter(primary or newest_first), None)


def _product(cpe: str) -> str | None:
    """Vendor and product of a CPE 2.3 name."""
    parts = cpe.split(":")
    return f"{parts[3]} {parts[4]}" if len(parts) > 4 else None

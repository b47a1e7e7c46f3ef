"""NVD; the layout is that of https://nvd.nist.gov/developers/vulnerabilities."""

from services.observables.enrichment.execution.provider_call import KeyRefused
from services.observables.providers.base import Query
from services.observables.providers.nvd import NVD
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

DESCRIPTION = {"lang": "en", "value": "Log4j executes code of an attacker."}
NIST = "nvd@nist.gov"
OTHER_SOURCE = "134c704f-9b21-4f2e-91b3-4a467353bcc0"


def answer(**cve):
    cve = {"id": "CVE-2021-44228", "descriptions": [DESCRIPTION], **cve}
    frame = {
        "resultsPerPage": 1,
        "startIndex": 0,
        "totalResults": 1,
        "format": "NVD_CVE",
        "version": "2.0",
    }
    return {**frame, "timestamp": "2026-09-21T09:17:27.910", "vulnerabilities": [{"cve": cve}]}


def metric(version, score, type_, **more):
    data = {"version": version, "vectorString": f"CVSS:{version}/AV:N", "baseScore": score, **more}
    return {"source": NIST if type_ == "Primary" else OTHER_SOURCE, "type": type_, "cvssData": data}


def match(vulnerable, name):
    return {
        "vulnerable": vulnerable,
        "criteria": f"cpe:2.3:{name}:*:*:*:*:*:*:*:*",
        "matchCriteriaId": "03FA5E81",
    }


class TestNVD(RemoteContract):
    enricher = NVD
    query = Query("vulnerability", "CVE-2021-44228")
    path = "/rest/json/cves/2.0"
    params = {"cveId": "CVE-2021-44228"}
    headers = {"apikey": SECRET}
    answer = answer(
        sourceIdentifier="security@apache.org",
        published="2021-12-10T10:15:09.143",
        lastModified="2025-10-27T17:35:45.000",
        vulnStatus="Analyzed",
        cveTags=[],
        descriptions=[{"lang": "es", "value": "Log4j ejecuta código."}, DESCRIPTION],
        cisaExploitAdd="2021-12-10",
        cisaActionDue="2021-12-24",
        cisaRequiredAction="Apply updates.",
        cisaVulnerabilityName="Apache Log4j2 Remote Code Execution Vulnerability",
        metrics={
            "cvssMetricV31": [
                metric("3.1", 9.0, "Secondary", baseSeverity="CRITICAL"),
                metric("3.1", 10.0, "Primary", baseSeverity="CRITICAL"),
            ],
            "cvssMetricV2": [{**metric("2.0", 9.3, "Primary"), "baseSeverity": "HIGH"}],
        },
        weaknesses=[
            {
                "source": NIST,
                "type": "Primary",
                "description": [{"lang": "en", "value": "CWE-502"}],
            },
            {
                "source": OTHER_SOURCE,
                "type": "Secondary",
                "description": [{"lang": "en", "value": "NVD-CWE-noinfo"}],
            },
        ],
        configurations=[
            {
                "operator": "AND",
                "nodes": [
                    {
                        "operator": "OR",
                        "negate": False,
                        "cpeMatch": [match(True, "o:siemens:6bk1602-0aa12-0tp0_firmware")],
                    },
                    {
                        "operator": "OR",
                        "negate": False,
                        "cpeMatch": [match(False, "h:siemens:6bk1602-0aa12-0tp0")],
                    },
                ],
            },
            {
                "nodes": [
                    {"operator": "OR", "negate": False, "cpeMatch": [match(True, "a:apache:log4j")]}
                ]
            },
        ],
        references=[
            {
                "url": "https://logging.apache.org/log4j/2.x/security.html",
                "source": "security@apache.org",
                "tags": ["Vendor Advisory"],
            }
        ],
    )
    facts = {
        "description": "Log4j executes code of an attacker.",
        "status": "Analyzed",
        "published": "2021-12-10T10:15:09.143",
        "modified": "2025-10-27T17:35:45.000",
        "cvss": 10.0,
        "severity": "critical",
        "vector": "CVSS:3.1/AV:N",
        "weaknesses": ["CWE-502"],
        "products": ["siemens 6bk1602-0aa12-0tp0_firmware", "apache log4j"],
        "exploited_since": "2021-12-10",
        "exploited_as": "Apache Log4j2 Remote Code Execution Vulnerability",
        "references": ["https://logging.apache.org/log4j/2.x/security.html"],
    }
    weights = [0.9]
    unknown = Reply(
        body=b'{"resultsPerPage":0,"startIndex":0,"totalResults":0,"vulnerabilities":[]}'
    )

    def test_it_asks_without_a_key_too(self):
        assert not self.enricher().request(self.query, {}).auth_headers

    def test_severity_alone_is_no_claim(self, provider):
        metrics = {"cvssMetricV2": [{**metric("2.0", 9.3, "Primary"), "baseSeverity": "HIGH"}]}
        finding = self.finding(provider, answer(metrics=metrics))
        assert finding.weights == ()
        assert (finding.facts["cvss"], finding.facts["severity"]) == (9.3, "high")

    def test_another_sources_score_is_better_than_none(self, provider):
        metrics = {"cvssMetricV40": [metric("4.0", 8.7, "Secondary", baseSeverity="HIGH")]}
        assert self.finding(provider, answer(metrics=metrics)).facts["cvss"] == 8.7

    def test_a_vulnerability_that_waits_for_analysis(self, provider):
        finding = self.finding(
            provider, answer(vulnStatus="Received", metrics={}, configurations=[{"nodes": [{}]}])
        )
        assert dict(finding.facts) == {"description": DESCRIPTION["value"], "status": "Received"}

    def test_a_strange_cpe_is_left_out(self, provider):
        nodes = [{"cpeMatch": [{"criteria": "cpe", "vulnerable": True}]}]
        assert (
            "products"
            not in self.finding(provider, answer(configurations=[{"nodes": nodes}])).facts
        )

    def test_a_key_that_it_does_not_know_is_not_an_unknown_vulnerability(self, provider):
        assert isinstance(
            self.ask(provider, Reply(404, headers={"message": "Invalid apiKey."})), KeyRefused
        )

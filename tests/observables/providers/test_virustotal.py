"""VirusTotal; the layouts are those of https://docs.virustotal.com/reference/overview."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.virustotal import VirusTotal
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

MD5 = "44d88612fea8a8f36de82e1278abb02f"
SHA1 = "3395856ce81f2b7382dee72602f798b642f14140"
SHA256 = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
IMPHASH = "f34d5f2d4577ed6d9ceec516c1f5a744"
NOT_FOUND = b'{"error": {"code": "NotFoundError", "message": "File not found"}}'


def stats(malicious=0, suspicious=0, harmless=0, undetected=0):
    counts = {
        "malicious": malicious,
        "suspicious": suspicious,
        "harmless": harmless,
        "undetected": undetected,
    }
    return {**counts, "timeout": 0}


def answer(type_, id_, **attributes):
    links = {"self": f"https://www.virustotal.com/api/v3/{type_}s/{id_}"}
    return {"data": {"type": type_, "id": id_, "links": links, "attributes": attributes}}


class TestFiles(RemoteContract):
    enricher = VirusTotal
    query = Query("file-sha256", SHA256)
    path = f"/files/{SHA256}"
    headers = {"x-apikey": SECRET, "accept": "application/json"}
    answer = answer(
        "file",
        SHA256,
        last_analysis_stats={
            **stats(malicious=67, undetected=5),
            "type-unsupported": 4,
            "failure": 1,
        },
        last_analysis_results={
            "Avast": {"category": "malicious", "engine_name": "Avast", "result": "EICAR"}
        },
        last_analysis_date=1758441600,
        first_submission_date=1148301722,
        creation_date=1148301000,
        times_submitted=11,
        reputation=-56,
        total_votes={"harmless": 10, "malicious": 60},
        tags=["peexe"],
        meaningful_name="eicar.com",
        names=["eicar.com"],
        type_description="Win32 EXE",
        size=68,
        md5=MD5,
        sha1=SHA1,
        sha256=SHA256,
        pe_info={"imphash": IMPHASH, "machine_type": 332},
        popular_threat_classification={
            "suggested_threat_label": "virus.eicar/test",
            "popular_threat_category": [{"count": 10, "value": "virus"}],
            "popular_threat_name": [
                {"count": 40, "value": "eicar"},
                {"count": 20, "value": "test"},
            ],
        },
    )
    facts = {
        "malicious": 67,
        "suspicious": 0,
        "harmless": 0,
        "undetected": 5,
        "analysed": "2025-09-21T08:00:00+00:00",
        "reputation": -56,
        "tags": ["peexe"],
        "created": "2006-05-22T12:30:00+00:00",
        "first_submitted": "2006-05-22T12:42:02+00:00",
        "times_submitted": 11,
        "file_name": "eicar.com",
        "file_type": "Win32 EXE",
        "file_size": 68,
        "threat_label": "virus.eicar/test",
        "threat_categories": ["virus"],
        "families": ["eicar", "test"],
    }
    weights = [0.9]
    related = [
        ("related-to", "file-md5", MD5),
        ("related-to", "file-sha1", SHA1),
        ("related-to", "file-imphash", IMPHASH),
    ]
    unknown = Reply(404, NOT_FOUND)

    @pytest.mark.parametrize(
        ("counts", "weights"),
        [
            (stats(undetected=72), []),
            (stats(malicious=1, undetected=71), [0.09]),
            (stats(malicious=4, suspicious=2), [0.45]),
            (stats(suspicious=1), [0.045]),
        ],
    )
    def test_the_weight_grows_with_the_number_of_engines(self, provider, counts, weights):
        finding = self.finding(provider, answer("file", SHA256, last_analysis_stats=counts))
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)

    def test_goodware_loses_score(self, provider):
        verdict = {
            "verdict": "goodware",
            "organization": "Microsoft Corporation",
            "filename": "notepad.exe",
        }
        finding = self.finding(
            provider,
            answer(
                "file", SHA256, last_analysis_stats=stats(undetected=70), trusted_verdict=verdict
            ),
        )
        assert [weight.weight for weight in finding.weights] == [-0.6]
        assert finding.facts["trusted_by"] == "Microsoft Corporation"

    @pytest.mark.parametrize(("type_", "value"), [("file-md5", MD5), ("file-sha1", SHA1)])
    def test_any_hash_can_be_queried(self, type_, value):
        assert self.enricher().request(Query(type_, value), self.key()).path == f"/files/{value}"


class TestAddresses(RemoteContract):
    enricher = VirusTotal
    query = Query("ipv4-addr", "8.8.8.8")
    path = "/ip_addresses/8.8.8.8"
    headers = {"x-apikey": SECRET}
    answer = answer(
        "ip_address",
        "8.8.8.8",
        last_analysis_stats=stats(harmless=70, undetected=20, suspicious=1),
        last_analysis_date=1758441600,
        reputation=535,
        tags=[],
        asn=15169,
        as_owner="GOOGLE",
        country="US",
        continent="NA",
        network="8.8.8.0/24",
        regional_internet_registry="ARIN",
        whois="NetRange: 8.8.8.0 - 8.8.8.255",
        jarm="29d3fd00029d29d00042d43d00041df6ab62833359bd21fbf27287504787f8",
    )
    facts = {
        "malicious": 0,
        "suspicious": 1,
        "harmless": 70,
        "undetected": 20,
        "analysed": "2025-09-21T08:00:00+00:00",
        "reputation": 535,
        "asn": "AS15169",
        "as_owner": "GOOGLE",
        "country": "US",
        "network": "8.8.8.0/24",
    }
    weights = [0.045]
    related = [("belongs-to", "autonomous-system", "AS15169")]
    unknown = Reply(404, NOT_FOUND)

    def test_addresses_of_version_6_are_quoted(self):
        request = self.enricher().request(Query("ipv6-addr", "2001:4860:4860::8888"), self.key())
        assert request.path == "/ip_addresses/2001%3A4860%3A4860%3A%3A8888"


class TestDomains(RemoteContract):
    enricher = VirusTotal
    query = Query("domain-name", "example.com")
    path = "/domains/example.com"
    headers = {"x-apikey": SECRET}
    answer = answer(
        "domain",
        "example.com",
        last_analysis_stats=stats(malicious=2, harmless=60, undetected=30),
        reputation=3,
        registrar="RESERVED-Internet Assigned Numbers Authority",
        creation_date=808372800,
        categories={
            "BitDefender": "education",
            "Sophos": "information technology",
            "Webroot": "education",
        },
        last_dns_records=[
            {"type": "A", "value": "93.184.216.34", "ttl": 3600},
            {"type": "AAAA", "value": "2606:2800:220:1:248:1893:25c8:1946", "ttl": 3600},
            {"type": "NS", "value": "a.iana-servers.net", "ttl": 3600},
            {"type": "A", "ttl": 3600},
        ],
        tags=["dga"],
        popularity_ranks={"Alexa": {"rank": 8888, "timestamp": 1684083481}},
    )
    facts = {
        "malicious": 2,
        "suspicious": 0,
        "harmless": 60,
        "undetected": 30,
        "reputation": 3,
        "tags": ["dga"],
        "registrar": "RESERVED-Internet Assigned Numbers Authority",
        "created": "1995-08-14T04:00:00+00:00",
        "categories": ["education", "information technology"],
    }
    weights = [0.18]
    related = [
        ("resolves-to", "ipv4-addr", "93.184.216.34"),
        ("resolves-to", "ipv6-addr", "2606:2800:220:1:248:1893:25c8:1946"),
    ]
    unknown = Reply(404, NOT_FOUND)


class TestUrls(RemoteContract):
    enricher = VirusTotal
    query = Query("url", "http://example.com/a?b=c")
    path = "/urls/aHR0cDovL2V4YW1wbGUuY29tL2E_Yj1j"
    headers = {"x-apikey": SECRET}
    answer = answer(
        "url",
        "1db0ad7dbcec0676710ea0eaacd35d5e471d3e11944d53bcbd31f0cbd11bce31",
        url="http://example.com/a?b=c",
        last_final_url="https://example.com/a?b=c",
        last_analysis_stats=stats(malicious=12, harmless=70, undetected=8),
        last_http_response_code=200,
        title="Sign in",
        categories={},
        threat_names=["Phish.Generic"],
        first_submission_date=1758441600,
        times_submitted=3,
        reputation=0,
        tags=[],
    )
    facts = {
        "malicious": 12,
        "suspicious": 0,
        "harmless": 70,
        "undetected": 8,
        "reputation": 0,
        "title": "Sign in",
        "final_url": "https://example.com/a?b=c",
        "threat_names": ["Phish.Generic"],
        "first_submitted": "2025-09-21T08:00:00+00:00",
        "times_submitted": 3,
    }
    weights = [0.9]
    related = [("related-to", "url", "https://example.com/a?b=c")]
    unknown = Reply(404, NOT_FOUND)

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not VirusTotal().applies(Query("ipv4-addr", value))

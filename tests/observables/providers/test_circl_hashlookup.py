"""CIRCL hashlookup; the layout is that of https://www.circl.lu/services/hashlookup/."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.circl_hashlookup import CirclHashlookup
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

MD5 = "8ed4b4ed952526d89899e723f3488de4"
SHA1 = "00000079fd7aac9b2f9c988c50750e1f50b27eb5"

FILE_NAME = "wow64_microsoft-windows-i..timezones.resources_31bf3856ad364e35_de-de.manifest"


class TestCirclHashlookup(RemoteContract):
    enricher = CirclHashlookup
    query = Query("file-md5", MD5)
    path = f"/lookup/md5/{MD5}"
    headers = {"accept": "application/json"}
    answer = {
        "CRC32": "7A5407CA",
        "FileName": FILE_NAME,
        "FileSize": "2520",
        "MD5": MD5.upper(),
        "OpSystemCode": {
            "MfgCode": "1006",
            "OpSystemCode": "362",
            "OpSystemName": "TBD",
            "OpSystemVersion": "none",
        },
        "ProductCode": {
            "ApplicationType": "Security",
            "Language": "Multilanguage",
            "MfgCode": "608",
            "OpSystemCode": "868",
            "ProductCode": "190742",
            "ProductName": "Cumulative Update for Windows Server 2016 for x64 (KB4338817)",
            "ProductVersion": "1709",
        },
        "SHA-1": SHA1.upper(),
        "SpecialCode": "",
        "db": "nsrl_modern_rds",
        "insert-timestamp": "1646975563.9592958",
        "source": "NSRL",
        "parents": [
            {"PackageName": "openssl", "PackageVersion": "1.1.1"},
            {"PackageName": "openssl"},
        ],
        "hashlookup:parent-total": 2,
        "hashlookup:trust": 75,
    }
    facts = {
        "file_name": FILE_NAME,
        "file_size": 2520,
        "product": "Cumulative Update for Windows Server 2016 for x64 (KB4338817)",
        "product_version": "1709",
        "packages": ["openssl"],
        "source": "NSRL",
        "database": "nsrl_modern_rds",
        "trust": 75,
    }
    weights = [-0.55]
    related = [("related-to", "file-sha1", SHA1)]
    unknown = Reply(
        404, b'{"message": "Non existing MD5", "query": "00000000000000000000000000000000"}'
    )

    @pytest.mark.parametrize("sources", ["malware-bazaar", ["malware-bazaar"]])
    def test_a_known_malicious_file_is_a_claim(self, provider, sources):
        answer = {"SHA-1": SHA1.upper(), "KnownMalicious": sources, "hashlookup:trust": 45}
        finding = self.finding(provider, answer)
        assert [weight.weight for weight in finding.weights] == [0.7]
        assert finding.facts["known_malicious"] == ["malware-bazaar"]

    @pytest.mark.parametrize(("trust", "weights"), [(100, [-0.8]), (50, []), (45, []), (None, [])])
    def test_trust_above_the_middle_takes_score_away(self, provider, trust, weights):
        finding = self.finding(provider, {"SHA-1": SHA1.upper(), "hashlookup:trust": trust})
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)

    def test_odd_sizes_and_products_are_left_out(self, provider):
        answer = {"SHA-256": "00" * 32, "FileSize": "n/a", "ProductCode": "190742", "parents": None}
        assert not self.finding(provider, answer).facts

    @pytest.mark.parametrize(
        ("type_", "algorithm"), [("file-sha1", "sha1"), ("file-sha256", "sha256")]
    )
    def test_each_hash_has_its_path(self, type_, algorithm):
        assert self.enricher().request(Query(type_, "ab"), {}).path == f"/lookup/{algorithm}/ab"

    def test_an_answer_without_a_hash_is_none(self, provider):
        outcome = self.ask(provider, Reply(body=b'{"message": "welcome"}'))
        assert "without a single hash" in outcome.error.message

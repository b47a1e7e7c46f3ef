"""YARAify; the layout is that of https://yaraify.abuse.ch/api/#query-filehash."""

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import Query
from services.observables.providers.yaraify import YARAify
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

SHA256 = "b0bbfdfcbd4f0b6b6f16b9b7f2c0bd5a8c2fc6f3c8cc1d2b1c4c9e2e3a1e0b5f"
SHA1 = "61e20085728e09523f4b81d33a441c379eb8ef0c"
MD5 = "3a449aa4d735c2f96901ceed69bef635"
UNPACKED = "62c78826159ab95695740cf00c1a48b7365048a8db6556fe6b272dcd1796c1d6"
IMPHASH = "f34d5f2d4577ed6d9ceec516c1f5a744"
TLSH = "90B37DC2A746EEF4D85605F178A297718673C5B6C07FFD96C3DEC021A882A21B607C6C"


def rule(name):
    about = {"author": "Florian Roth", "description": None, "reference": None, "tlp": "TLP:WHITE"}
    return {"rule_name": name, **about}


class TestYARAify(RemoteContract):
    enricher = YARAify
    query = Query("file-sha256", SHA256)
    method = "POST"
    path = "/api/v1/"
    headers = {"auth-key": SECRET, "content-type": "application/json"}
    body = f'{{"query":"lookup_hash","search_term":"{SHA256}"}}'.encode()
    answer = {
        "query_status": "ok",
        "data": {
            "metadata": {
                "file_size": 792372,
                "file_type_mime": "application/x-dosexec",
                "first_seen": "2022-04-11 14:36:23",
                "last_seen": "2022-04-12 04:13:38",
                "sightings": 2,
                "sha256_hash": SHA256,
                "md5_hash": MD5,
                "sha1_hash": SHA1,
                "sha3_384": "ef2bc79f51c8bd013dfcc1eca40bd96c60ceb203b58c7dc28d50651c48423a04",
                "imphash": IMPHASH,
                "ssdeep": "12288:K2i/rzFKxXKwtYYmnBOGUnHPeCBX4",
                "tlsh": f"T1{TLSH}",
                "telfhash": None,
                "gimphash": None,
                "dhash_icon": "b2a89c96a2cada72",
            },
            "tasks": [
                {
                    "task_id": "d94bfc34-b99d-11ec-9b7b-42010aa4000b",
                    "time_stamp": "2022-04-12 04:13:38",
                    "file_name": "invoice.exe",
                    "clamav_results": ["Win.Malware.Generic-9937882-0"],
                    "static_results": [rule("MALWARE_Win_AgentTesla"), rule("pe_imphash")],
                    "unpacker_results": [
                        {
                            "unpacked_file_name": "400000_unpacked.exe",
                            "unpacked_md5": MD5,
                            "unpacked_sha256": UNPACKED,
                            "unpacked_yara_matches": [rule("win_agent_tesla_auto")],
                        },
                        {"unpacked_sha256": None, "unpacked_yara_matches": None},
                    ],
                },
                {
                    "task_id": "0a1dbd5c-b9a4-11ec-9b7b-42010aa4000b",
                    "time_stamp": "2022-04-11 14:36:23",
                    "file_name": "invoice.exe",
                    "clamav_results": None,
                    "static_results": [rule("pe_imphash")],
                    "unpacker_results": None,
                },
            ],
        },
    }
    facts = {
        "file_names": ["invoice.exe"],
        "file_size": 792372,
        "mime": "application/x-dosexec",
        "first_seen": "2022-04-11 14:36:23",
        "last_seen": "2022-04-12 04:13:38",
        "sightings": 2,
        "clamav": ["Win.Malware.Generic-9937882-0"],
        "yara_rules": ["MALWARE_Win_AgentTesla", "pe_imphash"],
        "yara_rules_unpacked": ["win_agent_tesla_auto"],
    }
    weights = [0.6]
    related = [
        ("related-to", "file-md5", MD5),
        ("related-to", "file-sha1", SHA1),
        ("related-to", "file-imphash", IMPHASH),
        ("related-to", "file-tlsh", TLSH),
        ("<part-of", "file-sha256", UNPACKED),
    ]
    unknown = Reply(body=b'{"query_status": "no_results"}')

    @pytest.mark.parametrize(
        ("rules", "weights"), [([rule("pe_imphash")], [0.2]), ([], []), (None, [])]
    )
    def test_rules_alone_are_a_faint_claim(self, provider, rules, weights):
        tasks = [{"clamav_results": [], "static_results": rules}]
        finding = self.finding(
            provider,
            {"query_status": "ok", "data": {"metadata": {"sha256_hash": SHA256}, "tasks": tasks}},
        )
        assert [weight.weight for weight in finding.weights] == weights

    def test_a_file_without_scans(self, provider):
        finding = self.finding(
            provider,
            {"query_status": "ok", "data": {"metadata": {"sha256_hash": SHA256}, "tasks": None}},
        )
        assert not finding.facts
        assert not finding.weights

    @pytest.mark.parametrize(
        "body", [b'{"query_status": "illegal_hash"}', b'{"query_status": "ok", "data": "no"}']
    )
    def test_another_status_is_no_answer(self, provider, body):
        assert isinstance(self.ask(provider, Reply(body=body)), Failed)

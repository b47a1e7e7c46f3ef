"""Hybrid Analysis; the layout is that of
https://hybrid-analysis.com/docs/api/v2, "Analysis Overview".
"""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.hybrid_analysis import HybridAnalysis
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

_WANNACRY = "ed01ebfbc9eb5bbea545af4d01bf5f1071661840480439c6e5babe8e080e41aa"


class TestHybridAnalysis(RemoteContract):
    enricher = HybridAnalysis
    query = Query("file-sha256", _WANNACRY)
    path = f"/overview/{_WANNACRY}"
    headers = {"accept": "application/json", "api-key": SECRET, "user-agent": "Falcon Sandbox"}
    answer = {
        "sha256": _WANNACRY,
        "last_file_name": "diskpart.exe",
        "other_file_name": ["tasksche.exe", "diskpart.exe"],
        "threat_score": 100,
        "verdict": "malicious",
        "url_analysis": False,
        "size": 3514368,
        "type": "PE32 executable (GUI) Intel 80386, for MS Windows",
        "type_short": ["peexe", "executable"],
        "analysis_start_time": "2026-09-14T08:32:39+00:00",
        "last_multi_scan": "2026-09-20T10:01:11+00:00",
        "tags": ["ransomware", "wannacry"],
        "architecture": "WINDOWS",
        "vx_family": "Ransom.WannaCry",
        "multiscan_result": 95,
        "scanners": [
            {
                "name": "Metadefender",
                "status": "malicious",
                "error_message": None,
                "progress": 100,
                "total": 26,
                "positives": 24,
                "percent": 92,
                "anti_virus_results": [],
            }
        ],
        "related_parent_hashes": [],
        "related_children_hashes": [],
        "whitelisted": [],
        "reports": ["5911b2cfaac2edf2a3a5a5d5"],
        "children_in_queue": 0,
        "children_in_progress": 0,
    }
    facts = {
        "verdict": "malicious",
        "threat_score": 100,
        "detection_percent": 95,
        "family": "Ransom.WannaCry",
        "tags": ["ransomware", "wannacry"],
        "file_names": ["diskpart.exe", "tasksche.exe"],
        "file_type": "PE32 executable (GUI) Intel 80386, for MS Windows",
        "size": 3514368,
        "architecture": "WINDOWS",
        "analysed": "2026-09-14T08:32:39+00:00",
        "last_scan": "2026-09-20T10:01:11+00:00",
    }
    weights = [0.9]
    unknown = Reply(404, b'{"message":"Not Found"}')

    @pytest.mark.parametrize(
        ("fields", "weights"),
        [
            ({"verdict": "malicious", "threat_score": None}, [0.54]),
            ({"verdict": "malicious", "threat_score": 80, "multiscan_result": 10}, [0.72]),
            ({"verdict": "suspicious", "threat_score": 45}, [0.35]),
            ({"verdict": "whitelisted"}, [-0.6]),
            ({"verdict": "no specific threat", "threat_score": 0}, []),
            ({"verdict": "no verdict"}, []),
            ({"verdict": None}, []),
        ],
    )
    def test_verdicts(self, provider, fields, weights):
        finding = self.finding(
            provider, {"sha256": _WANNACRY, "tags": None, "other_file_name": None} | fields
        )
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)
        assert all(weight.reason.endswith(".") for weight in finding.weights)

    @pytest.mark.parametrize(
        ("type_", "file_type"), [(["img", "image"], "img"), ([], None), (None, None)]
    )
    def test_a_type_may_be_a_list(self, provider, type_, file_type):
        assert (
            self.finding(provider, {"sha256": _WANNACRY, "type": type_}).facts.get("file_type")
            == file_type
        )

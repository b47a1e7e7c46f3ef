"""URLhaus; the layouts are those of https://urlhaus-api.abuse.ch/."""

import json

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import Query
from services.observables.providers.urlhaus import URLhaus
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

NO_RESULTS = Reply(body=b'{"query_status": "no_results"}')
URL = "http://sskymedia.com/VMYB-ht_JAQo-gi/INV/99401FORPO/20673114777/US/Outstanding-Invoices/"
FIRST = "dc9f3b226bccb2f1fd4810cde541e5a10d59a1fe683f4a9462293b6ade8d8403"
SECOND = "35e304d10d53834e3e41035d12122773c9a4d183a24e03f980ad3e6b2ecde7fa"
MD5 = "1585ad28f7d1e0ca696e6c6c2f1d008a"
IMPHASH = "3b91ed9563d0f99f26b86bd20539306b"
TLSH = "7934BF47B4F1C871E4B30D311831D9A05A2F7D715F659E6B2778222A8E342D09E35FAB"


def payload(sha256, **more):
    about = {
        "firstseen": "2019-01-19",
        "filename": "5616769081079106.doc",
        "file_type": "doc",
        "signature": "Heodo",
    }
    virustotal = {"result": "16 / 58", "percent": "27.59", "link": "https://www.virustotal.com/"}
    return {
        **about,
        "response_size": "179664",
        "response_sha256": sha256,
        "virustotal": virustotal,
        **more,
    }


def listed_url(url, status):
    about = {
        "id": "165356",
        "urlhaus_reference": "https://urlhaus.abuse.ch/url/165356/",
        "reporter": "0xrb",
    }
    dated = {
        "date_added": "2019-03-25 09:55:39 UTC",
        "larted": "true",
        "takedown_time_seconds": None,
    }
    return {
        **about,
        **dated,
        "url": url,
        "url_status": status,
        "threat": "malware_download",
        "tags": ["elf", "mirai"],
    }


class TestUrls(RemoteContract):
    enricher = URLhaus
    query = Query("url", URL)
    method = "POST"
    path = "/v1/url/"
    headers = {"auth-key": SECRET, "content-type": "application/x-www-form-urlencoded"}
    body = (
        b"url=http%3A%2F%2Fsskymedia.com%2FVMYB-ht_JAQo-gi%2FINV%2F99401FORPO%2F20673114777%2FUS"
        b"%2FOutstanding-Invoices%2F"
    )
    answer = {
        "query_status": "ok",
        "id": "105821",
        "urlhaus_reference": "https://urlhaus.abuse.ch/url/105821/",
        "url": URL,
        "url_status": "online",
        "host": "sskymedia.com",
        "date_added": "2019-01-19 01:33:26 UTC",
        "last_online": "2019-01-25 12:00:00 UTC",
        "threat": "malware_download",
        "blacklists": {"spamhaus_dbl": "abused_legit_malware", "surbl": "not listed"},
        "reporter": "Cryptolaemus1",
        "larted": "true",
        "takedown_time_seconds": None,
        "tags": ["emotet", "epoch2", "heodo"],
        "payloads": [
            payload(FIRST),
            payload(SECOND, filename="676341.doc", signature=None, virustotal=None),
            payload(None, filename=None, file_type=None),
        ],
    }
    facts = {
        "status": "online",
        "threat": "malware_download",
        "tags": ["emotet", "epoch2", "heodo"],
        "malware": ["Heodo"],
        "file_names": ["5616769081079106.doc", "676341.doc"],
        "file_types": ["doc"],
        "first_seen": "2019-01-19 01:33:26 UTC",
        "last_online": "2019-01-25 12:00:00 UTC",
        "spamhaus_dbl": "abused_legit_malware",
    }
    weights = [0.9]
    related = [
        ("<downloaded-from", "file-sha256", FIRST),
        ("<downloaded-from", "file-sha256", SECOND),
    ]
    unknown = NO_RESULTS

    def test_what_is_offline_is_a_weaker_claim(self, provider):
        answer = {
            "query_status": "ok",
            "url": URL,
            "url_status": "offline",
            "tags": None,
            "payloads": None,
        }
        finding = self.finding(provider, answer)
        assert [weight.weight for weight in finding.weights] == [0.7]
        assert dict(finding.facts) == {"status": "offline"}

    @pytest.mark.parametrize("status", ["invalid_url", "http_post_expected"])
    def test_another_status_is_no_answer(self, provider, status):
        outcome = self.ask(provider, Reply(body=f'{{"query_status": "{status}"}}'.encode()))
        assert isinstance(outcome, Failed)
        assert status in outcome.error.message


class TestHosts(RemoteContract):
    enricher = URLhaus
    query = Query("ipv4-addr", "178.128.78.235")
    method = "POST"
    path = "/v1/host/"
    headers = {"auth-key": SECRET, "content-type": "application/x-www-form-urlencoded"}
    body = b"host=178.128.78.235"
    answer = {
        "query_status": "ok",
        "urlhaus_reference": "https://urlhaus.abuse.ch/host/178.128.78.235/",
        "host": "178.128.78.235",
        "firstseen": "2019-03-25 09:55:01 UTC",
        "url_count": "11",
        "blacklists": {"spamhaus_dbl": "not listed", "surbl": "not listed"},
        "urls": [
            listed_url("http://178.128.78.235/bins/Solar.x86", "online"),
            listed_url("http://178.128.78.235/bins/Solar.mpsl", "offline"),
        ],
    }
    facts = {
        "urls": 11,
        "urls_online": 1,
        "threats": ["malware_download"],
        "tags": ["elf", "mirai"],
        "first_seen": "2019-03-25 09:55:01 UTC",
    }
    weights = [0.8]
    related = [
        ("related-to", "url", "http://178.128.78.235/bins/Solar.x86"),
        ("related-to", "url", "http://178.128.78.235/bins/Solar.mpsl"),
    ]
    unknown = NO_RESULTS

    def test_domains_are_hosts(self):
        assert (
            self.enricher().request(Query("domain-name", "example.com"), self.key()).content
            == b"host=example.com"
        )

    @pytest.mark.parametrize(("status", "weights"), [("online", [0.6]), ("offline", [0.4])])
    def test_a_domain_may_serve_what_others_put_there(self, status, weights):
        about = {
            "query_status": "ok",
            "host": "example.com",
            "urls": [listed_url("http://example.com/a", status)],
        }
        finding = URLhaus().read(Query("domain-name", "example.com"), json.dumps(about).encode())
        assert [weight.weight for weight in finding.weights] == weights

    @pytest.mark.parametrize(
        ("changed", "weights"),
        [
            ({"urls": [listed_url("http://178.128.78.235/a", "offline")]}, [0.5]),
            ({"blacklists": {"spamhaus_dbl": "abused_legit_malware", "surbl": None}}, [0.3]),
            ({"blacklists": None, "url_count": None, "urls": None}, []),
        ],
    )
    def test_what_is_served_there_counts(self, provider, changed, weights):
        assert [
            weight.weight for weight in self.finding(provider, {**self.answer, **changed}).weights
        ] == weights


class TestFiles(RemoteContract):
    enricher = URLhaus
    query = Query("file-sha256", SECOND)
    method = "POST"
    path = "/v1/payload/"
    headers = {"auth-key": SECRET, "content-type": "application/x-www-form-urlencoded"}
    body = f"sha256_hash={SECOND}".encode()
    answer = {
        "query_status": "ok",
        "md5_hash": MD5,
        "sha256_hash": SECOND,
        "file_type": "exe",
        "file_size": "241664",
        "signature": "Gozi",
        "firstseen": "2019-01-19 13:59:06",
        "lastseen": "2019-01-19 14:48:08",
        "url_count": "131",
        "urlhaus_download": f"https://urlhaus-api.abuse.ch/v1/download/{SECOND}/",
        "virustotal": {
            "result": "17 / 69",
            "percent": "24.64",
            "link": "https://www.virustotal.com/",
        },
        "imphash": IMPHASH,
        "ssdeep": "6144:zLi/BUSZlMRcm4BJp",
        "tlsh": TLSH,
        "urls": [
            {
                "url_id": "105243",
                "url": "http://demo.trydaps.com/gzVv-22Omv_aIQZybVK-aJ/En/Question/",
                "url_status": "offline",
                "urlhaus_reference": "https://urlhaus.abuse.ch/url/105243/",
                "filename": "PAY2632216543098764.doc",
                "firstseen": "2019-01-19",
                "lastseen": None,
            }
        ],
    }
    facts = {
        "malware": "Gozi",
        "file_type": "exe",
        "file_size": 241664,
        "first_seen": "2019-01-19 13:59:06",
        "last_seen": "2019-01-19 14:48:08",
        "urls": 131,
    }
    weights = [0.9]
    related = [
        ("related-to", "file-md5", MD5),
        ("related-to", "file-imphash", IMPHASH),
        ("related-to", "file-tlsh", TLSH),
        ("downloaded-from", "url", "http://demo.trydaps.com/gzVv-22Omv_aIQZybVK-aJ/En/Question/"),
    ]
    unknown = NO_RESULTS

    def test_a_file_of_no_family_is_a_weaker_claim(self, provider):
        answer = {
            "query_status": "ok",
            "md5_hash": MD5,
            "sha256_hash": SECOND,
            "signature": None,
            "urls": None,
        }
        finding = self.finding(provider, answer)
        assert [weight.weight for weight in finding.weights] == [0.6]
        assert dict(finding.facts) == {"urls": 0}

    def test_an_md5_has_its_field(self):
        assert (
            self.enricher().request(Query("file-md5", MD5), self.key()).content
            == f"md5_hash={MD5}".encode()
        )

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not URLhaus().applies(Query("ipv4-addr", value))

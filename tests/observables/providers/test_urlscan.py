"""urlscan.io; the layout is that of https://docs.urlscan.io/apis/urlscan-openapi/search."""

import json

import pytest

from services.observables.enrichment.execution.provider_call import Answered
from services.observables.providers.base import Query
from services.observables.providers.urlscan import Urlscan
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

_SCAN = {
    "task": {
        "visibility": "public",
        "method": "api",
        "domain": "example.com",
        "apexDomain": "example.com",
        "time": "2026-10-07T08:07:38.254Z",
        "uuid": "01a11567-46a0-71bb-837e-e91fc420856b",
        "url": "https://example.com/",
        "tags": ["certstream-suspicious"],
    },
    "stats": {
        "uniqIPs": 1,
        "uniqCountries": 1,
        "dataLength": 1256,
        "encodedDataLength": 648,
        "requests": 1,
    },
    "page": {
        "country": "US",
        "server": "cloudflare",
        "ip": "172.66.147.243",
        "mimeType": "text/html",
        "title": "Example Domain",
        "url": "https://example.com/",
        "domain": "example.com",
        "apexDomain": "example.com",
        "asnname": "CLOUDFLARENET - Cloudflare, Inc., US",
        "asn": "AS13335",
        "status": "200",
    },
    "_id": "01a11567-46a0-71bb-837e-e91fc420856b",
    "sort": [1791360458254, "01a11567-46a0-71bb-837e-e91fc420856b"],
    "result": "https://urlscan.io/api/v1/result/01a11567-46a0-71bb-837e-e91fc420856b/",
    "screenshot": "https://urlscan.io/screenshots/01a11567-46a0-71bb-837e-e91fc420856b.png",
}


def _scan(domain, **page):
    return {
        "task": {"time": "2026-10-01T10:00:00.000Z", "domain": "example.com"},
        "page": {"domain": domain, "url": f"https://{domain}/", **page},
    }


def _answer(*scans, total=None):
    return {"results": list(scans), "total": total or len(scans), "took": 10, "has_more": False}


class TestUrlscan(RemoteContract):
    enricher = Urlscan
    query = Query("domain-name", "example.com")
    path = "/search/"
    params = {"q": 'page.domain:"example.com" OR task.domain:"example.com"', "size": "100"}
    headers = {"api-key": SECRET}
    answer = _answer(
        _SCAN,
        _scan("www.example.com", ip="2606:4700:10::ac42:93f3", asn="AS13335", status=301),
        total=6212,
    )
    facts = {
        "scans_found": 6212,
        "last_scan": "2026-10-07T08:07:38.254Z",
        "report": "https://urlscan.io/api/v1/result/01a11567-46a0-71bb-837e-e91fc420856b/",
        "title": "Example Domain",
        "status": "200",
        "server": "cloudflare",
        "urls": ["https://example.com/", "https://www.example.com/"],
        "domains": ["example.com", "www.example.com"],
        "addresses": ["172.66.147.243", "2606:4700:10::ac42:93f3"],
        "asns": ["AS13335"],
        "as_names": ["CLOUDFLARENET - Cloudflare, Inc., US"],
        "countries": ["US"],
        "tags": ["certstream-suspicious"],
    }
    related = [
        ("resolves-to", "ipv4-addr", "172.66.147.243"),
        ("related-to", "domain-name", "www.example.com"),
    ]
    unknown = Reply(200, b'{"results":[],"total":0,"took":4,"has_more":false}')

    def test_without_a_key_it_sends_none(self):
        assert not Urlscan().request(self.query, {}).auth_headers

    def test_scans_of_sub_domains_say_nothing_about_the_name(self, provider):
        scan = _scan("evil.example.com", ip="192.0.2.7") | {"verdicts": {"malicious": True}}
        scan["task"] = {"time": "2026-10-01T10:00:00.000Z", "domain": "evil.example.com"}
        outcome = self.ask(provider, Reply(body=json.dumps(_answer(scan)).encode()))
        assert isinstance(outcome, Answered)
        assert outcome.finding is None

    def test_an_address_over_ipv6_is_one(self, provider):
        finding = self.finding(
            provider, _answer(_scan("example.com", ip="2606:4700:10::ac42:93f3"))
        )
        assert [(relation.kind, relation.type) for relation in finding.related] == [
            ("resolves-to", "ipv6-addr")
        ]

    @pytest.mark.parametrize(
        ("verdicts", "weights"), [((True, True), [0.7]), ((True, False), [0.525]), ((False,), [])]
    )
    def test_verdicts_are_a_claim(self, provider, verdicts, weights):
        scans = [
            _scan("example.com") | {"verdicts": {"score": 100, "malicious": malicious}}
            for malicious in verdicts
        ]
        finding = self.finding(provider, _answer(*scans, _scan("example.com")))
        assert finding.facts["malicious_scans"] == sum(verdicts)
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)

    @pytest.mark.parametrize(
        "query", [Query("ipv4-addr", "172.66.147.243"), Query("file-sha256", "ea8f" * 16)]
    )
    def test_one_bad_page_says_little_about_an_address_or_a_file(self, query):
        scans = [
            _scan("example.com") | {"verdicts": {"malicious": malicious}}
            for malicious in (True, *[False] * 9)
        ]
        finding = Urlscan().read(query, json.dumps(_answer(*scans)).encode())
        assert [weight.weight for weight in finding.weights] == pytest.approx([0.03])

    @pytest.mark.parametrize(
        ("query", "search", "related"),
        [
            (
                Query("url", 'https://example.com/?q="a'),
                (
                    'task.url.keyword:"https://example.com/?q=\\"a" '
                    'OR page.url.keyword:"https://example.com/?q=\\"a"'
                ),
                [("related-to", "ipv4-addr", "172.66.147.243", False)],
            ),
            (
                Query("ipv4-addr", "172.66.147.243"),
                'page.ip:"172.66.147.243"',
                [
                    ("resolves-to", "domain-name", "example.com", True),
                    ("belongs-to", "autonomous-system", "AS13335", False),
                ],
            ),
            (
                Query("ipv6-addr", "2606:4700:10::ac42:93f3"),
                'page.ip:"2606:4700:10::ac42:93f3"',
                [],
            ),
            (
                Query(
                    "file-sha256",
                    "ea8fac7c65fb589b0d53560f5251f74f9e9b243478dcb6b3ea79b5e36449c8d9",
                ),
                'hash:"ea8fac7c65fb589b0d53560f5251f74f9e9b243478dcb6b3ea79b5e36449c8d9"',
                [("related-to", "url", "https://example.com/", False)],
            ),
        ],
        ids=lambda value: value.type if isinstance(value, Query) else "",
    )
    def test_other_types(self, query, search, related):
        assert Urlscan().request(query, {"key": SECRET}).params["q"] == search
        scan = _SCAN if related else _scan(None)
        finding = Urlscan().read(
            query, json.dumps(_answer(scan | {"verdicts": {"malicious": True}})).encode()
        )
        assert [tuple(relation) for relation in finding.related] == related
        assert [weight.weight for weight in finding.weights] == pytest.approx(
            [0.7 if query.type == "url" else 0.3]
        )

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not Urlscan().applies(Query("ipv4-addr", value))

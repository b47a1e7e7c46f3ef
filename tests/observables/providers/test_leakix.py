"""LeakIX; the layout is that of https://leakix.net/api-documentation."""

import pytest

from services.observables.enrichment.execution.provider_call import Answered
from services.observables.providers.base import Query
from services.observables.providers.leakix import LeakIX
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

_CERTIFICATE = "d3c58f73a72d805f15cb4887e6bfcec14fafd9db64e66724f84e79c18d7a028e"
_PLACE = {
    "geoip": {
        "continent_name": "Europe",
        "region_iso_code": "DE-BY",
        "city_name": "Nuremberg",
        "country_iso_code": "DE",
        "country_name": "Germany",
        "region_name": "Bavaria",
        "location": {"lat": 49.4631, "lon": 11.0349},
    },
    "network": {
        "organization_name": "Hetzner Online GmbH",
        "asn": 24940,
        "network": "78.46.0.0/15",
    },
}


class TestLeakIX(RemoteContract):
    enricher = LeakIX
    query = Query("ipv4-addr", "78.47.222.185")
    path = "/host/78.47.222.185"
    headers = {"accept": "application/json", "api-key": SECRET}
    answer = {
        "Services": [
            {
                "event_type": "service",
                "event_source": "l9explore",
                "event_pipeline": ["ip4scout", "l9tcpid", "l9explore"],
                "ip": "78.47.222.185",
                "host": "kibana.fastcloudnetwork.com",
                "reverse": "",
                "port": "443",
                "transport": ["tcp", "tls", "http"],
                "protocol": "kibana",
                "http": {
                    "url": "/",
                    "status": 302,
                    "header": {"server": "nginx/1.17.10"},
                    "title": "",
                },
                "summary": "HTTP/1.1 302 Found",
                "time": "2021-11-21T21:46:52.074077481Z",
                "ssl": {
                    "enabled": True,
                    "certificate": {"cn": "kibana", "domain": None, "fingerprint": _CERTIFICATE},
                },
                "service": {
                    "credentials": {
                        "noauth": False,
                        "username": "",
                        "password": "",
                        "key": "",
                        "raw": None,
                    },
                    "software": {
                        "name": "Kibana",
                        "version": "7.10.2",
                        "os": "",
                        "modules": None,
                        "fingerprint": "",
                    },
                },
                "leak": {
                    "stage": "",
                    "type": "",
                    "severity": "",
                    "dataset": {"rows": 0, "infected": False},
                },
                "tags": ["nginx"],
                **_PLACE,
            },
            {
                "event_type": "service",
                "ip": "78.47.222.185",
                "host": "78.47.222.185",
                "port": "",
                "ssl": {"certificate": {"fingerprint": ""}},
                "service": {"software": {"name": "", "version": ""}},
                "tags": None,
            },
        ],
        "Leaks": [
            {
                "event_type": "leak",
                "event_source": "ElasticSearchOpenPlugin",
                "ip": "78.47.222.185",
                "host": "78.47.222.185",
                "port": "9200",
                "protocol": "elasticsearch",
                "time": "2021-12-02T09:00:00.000000001Z",
                "leak": {
                    "stage": "open",
                    "type": "database",
                    "severity": "critical",
                    "dataset": {
                        "rows": 120,
                        "files": 0,
                        "size": 4096,
                        "infected": True,
                        "ransom_notes": ["READ_ME"],
                    },
                },
                "tags": [],
                **_PLACE,
            }
        ],
    }
    facts = {
        "ports": [443, 9200],
        "protocols": ["kibana", "elasticsearch"],
        "software": ["Kibana 7.10.2"],
        "hostnames": ["kibana.fastcloudnetwork.com"],
        "leaks": 1,
        "leak_sources": ["ElasticSearchOpenPlugin"],
        "severities": ["critical"],
        "infected": True,
        "tags": ["nginx"],
        "country": "DE",
        "asn": "AS24940",
        "organisation": "Hetzner Online GmbH",
        "network": "78.46.0.0/15",
        "last_seen": "2021-12-02T09:00:00.000000001Z",
    }
    weights = [0.3]
    related = [
        ("<resolves-to", "domain-name", "kibana.fastcloudnetwork.com"),
        ("belongs-to", "autonomous-system", "AS24940"),
        ("related-to", "x509-sha256", _CERTIFICATE),
    ]
    unknown = Reply(404, b'{"title": "Not Found", "description": "Host not found"}')

    def test_without_a_key_it_sends_none(self):
        assert not LeakIX().request(self.query, {}).auth_headers

    def test_neither_services_nor_leaks_is_unknown(self, provider):
        outcome = self.ask(provider, Reply(body=b'{"Services":null,"Leaks":null}'))
        assert isinstance(outcome, Answered)
        assert outcome.finding is None

    def test_a_bare_event(self, provider):
        finding = self.finding(
            provider, {"Services": [{"ip": "78.47.222.185", "port": 22}], "Leaks": None}
        )
        assert dict(finding.facts) == {"ports": [22], "leaks": 0, "infected": False}
        assert not finding.weights
        assert not finding.related

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not LeakIX().applies(Query("ipv4-addr", value))

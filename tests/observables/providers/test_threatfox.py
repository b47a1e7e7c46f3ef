"""ThreatFox; the layout is that of https://threatfox.abuse.ch/api/."""

import json

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import Query
from services.observables.providers.threatfox import ThreatFox
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

NO_RESULT = Reply(
    body=b'{"query_status": "no_result", "data": "Your search did not yield any results"}'
)
HEADERS = {"auth-key": SECRET, "content-type": "application/json"}
MD5 = "2151c4b970eff0071948dbbc19066aa4"


def indicator(ioc, ioc_type="ip:port", threat_type="botnet_cc", **more):
    return {
        "id": "12",
        "ioc": ioc,
        "threat_type": threat_type,
        "threat_type_desc": "Indicator that identifies a botnet command&control server (C&C)",
        "ioc_type": ioc_type,
        "ioc_type_desc": "ip:port combination that is used for botnet Command&control (C&C)",
        "malware": "win.cobalt_strike",
        "malware_printable": "Cobalt Strike",
        "malware_alias": "Agentemis,BEACON,CobaltStrike",
        "malware_malpedia": "https://malpedia.caad.fkie.fraunhofer.de/details/win.cobalt_strike",
        "confidence_level": 75,
        "first_seen": "2020-12-06 09:10:23 UTC",
        "last_seen": None,
        "reporter": "abuse_ch",
        "reference": None,
        "tags": None,
        **more,
    }


def answer(*indicators):
    return {"query_status": "ok", "data": list(indicators)}


class TestHosts(RemoteContract):
    enricher = ThreatFox
    query = Query("ipv4-addr", "139.180.203.104")
    method = "POST"
    path = "/api/v1/"
    headers = HEADERS
    body = b'{"query":"search_ioc","search_term":"139.180.203.104","exact_match":false}'
    answer = answer(
        indicator("139.180.203.104:443"),
        indicator(
            "http://139.180.203.104:8080/a.exe",
            "url",
            "payload_delivery",
            malware="win.dridex",
            malware_printable=None,
            malware_alias=None,
            confidence_level=100,
            first_seen="2020-12-08 13:36:27 UTC",
            last_seen="2020-12-15 10:46:57 UTC",
            tags=["exe", "Dridex"],
        ),
        indicator("139.180.203.10:443", malware_printable="Somebody else"),
    )
    facts = {
        "indicators": 2,
        "confidence": 100,
        "malware": ["Cobalt Strike", "win.dridex"],
        "aliases": ["Agentemis", "BEACON", "CobaltStrike"],
        "threats": ["botnet_cc", "payload_delivery"],
        "tags": ["exe", "Dridex"],
        "first_seen": "2020-12-06 09:10:23 UTC",
        "last_seen": "2020-12-15 10:46:57 UTC",
    }
    weights = [0.9]
    related = [("related-to", "url", "http://139.180.203.104:8080/a.exe")]
    unknown = NO_RESULT

    def test_only_indicators_of_others_are_none(self, provider):
        body = answer(indicator("139.180.203.10:443"), indicator("http://[bad/"))
        assert self.ask(provider, Reply(body=json.dumps(body).encode())).finding is None

    @pytest.mark.parametrize(("confidence", "weights"), [(75, [0.675]), (0, [])])
    def test_confidence_sets_the_weight(self, provider, confidence, weights):
        finding = self.finding(
            provider, answer(indicator("139.180.203.104:443", confidence_level=confidence))
        )
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)

    @pytest.mark.parametrize(("ioc_type", "weights"), [("url", [0.5]), ("domain", [0.9])])
    def test_a_url_is_half_the_claim_about_its_domain(self, ioc_type, weights):
        ioc = "http://gaga.com/a.exe" if ioc_type == "url" else "gaga.com"
        body = answer(
            indicator(ioc, ioc_type, confidence_level=100), indicator("http://gaga.com/b", "url")
        )
        finding = ThreatFox().read(Query("domain-name", "gaga.com"), json.dumps(body).encode())
        assert [weight.weight for weight in finding.weights] == pytest.approx(weights)

    @pytest.mark.parametrize(
        "body", [b'{"query_status": "illegal_search_term", "data": "x"}', b'{"query_status":"ok"}']
    )
    def test_another_status_is_no_answer(self, provider, body):
        assert isinstance(self.ask(provider, Reply(body=body)), Failed)


class TestUrls(RemoteContract):
    enricher = ThreatFox
    query = Query("url", "http://gaga.com/gate.php")
    method = "POST"
    path = "/api/v1/"
    headers = HEADERS
    body = b'{"query":"search_ioc","search_term":"http://gaga.com/gate.php","exact_match":true}'
    answer = answer(
        indicator("http://gaga.com/gate.php", "url", malware_alias=None, confidence_level=50)
    )
    facts = {
        "indicators": 1,
        "confidence": 50,
        "malware": ["Cobalt Strike"],
        "threats": ["botnet_cc"],
        "first_seen": "2020-12-06 09:10:23 UTC",
    }
    weights = [0.45]
    unknown = NO_RESULT


class TestFiles(RemoteContract):
    enricher = ThreatFox
    query = Query("file-md5", MD5)
    method = "POST"
    path = "/api/v1/"
    headers = HEADERS
    body = f'{{"query":"search_hash","hash":"{MD5}"}}'.encode()
    answer = answer(
        indicator("103.28.70.177:2801", malware_alias=None, first_seen=None),
        indicator("gaga.com", "domain"),
        indicator("http://gaga.com/gate.php", "url"),
        indicator("http://gaga.com/a.exe", "url", "payload_delivery"),
        indicator("d41d8cd98f00b204e9800998ecf8427e", "md5_hash", "payload"),
    )
    facts = {
        "indicators": 5,
        "confidence": 75,
        "malware": ["Cobalt Strike"],
        "aliases": ["Agentemis", "BEACON", "CobaltStrike"],
        "threats": ["botnet_cc", "payload_delivery", "payload"],
        "first_seen": "2020-12-06 09:10:23 UTC",
    }
    weights = [0.675]
    related = [
        ("communicates-with", "ipv4-addr", "103.28.70.177"),
        ("communicates-with", "domain-name", "gaga.com"),
        ("communicates-with", "url", "http://gaga.com/gate.php"),
        ("downloaded-from", "url", "http://gaga.com/a.exe"),
    ]
    unknown = NO_RESULT

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not ThreatFox().applies(Query("ipv4-addr", value))

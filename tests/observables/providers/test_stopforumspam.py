"""StopForumSpam; the layout is that of https://www.stopforumspam.com/usage."""

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import InvalidAnswer, Query
from services.observables.providers.stopforumspam import StopForumSpam
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply


class TestStopForumSpam(RemoteContract):
    enricher = StopForumSpam
    query = Query("ipv4-addr", "193.201.224.246")
    path = "/api"
    params = {"ip": "193.201.224.246", "f": "json"}
    answer = {
        "success": 1,
        "ip": {
            "value": "193.201.224.246",
            "lastseen": "2026-02-25 18:20:15",
            "frequency": 255,
            "appears": 1,
            "confidence": 99.95,
            "delegated": "ua",
            "country": "ua",
            "asn": 25092,
            "torexit": 0,
        },
    }
    facts = {
        "reports": 255,
        "last_reported": "2026-02-25 18:20:15",
        "confidence": 99.95,
        "country": "UA",
        "asn": "AS25092",
        "tor": False,
    }
    weights = [0.49975]
    related = [("belongs-to", "autonomous-system", "AS25092")]
    unknown = Reply(
        200, b'{"success":1,"ip":{"value":"193.201.224.246","frequency":0,"appears":0}}'
    )

    def test_what_is_on_their_list_counts_half(self, provider):
        answer = {
            "success": 1,
            "ip": {"frequency": 255, "appears": 1, "confidence": 99.95, "blacklisted": 1},
        }
        finding = self.finding(provider, answer)
        assert finding.facts == {"reports": 255, "confidence": 99.95, "block_listed": True}
        assert [weight.weight for weight in finding.weights] == [0.5]

    def test_a_report_without_confidence_is_no_claim(self, provider):
        answer = {"success": 1, "ip": {"frequency": 2, "appears": 1, "country": None, "asn": None}}
        finding = self.finding(provider, answer)
        assert finding.facts == {"reports": 2}
        assert finding.weights == finding.related == ()

    @pytest.mark.parametrize(
        "body", [b'{"success":0,"error":"rate limit exceeded"}', b'{"success":1}']
    )
    def test_no_answer_is_not_unknown(self, provider, body):
        outcome = self.ask(provider, Reply(200, body))
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, InvalidAnswer)

    @pytest.mark.parametrize(
        ("query", "applies"),
        [
            (Query("email-addr", "xrumertest@this.baddomain.com"), True),
            (Query("ipv6-addr", "2a03:7380:2140:51:c04f:c88c:f24b:1ce5"), True),
            (Query("ipv4-addr", "193.201.224.0/24"), False),
            (Query("ipv4-addr", "172.16.0.1"), False),
            (Query("domain-name", "this.baddomain.com"), False),
        ],
    )
    def test_it_asks_about_single_public_addresses(self, query, applies):
        assert StopForumSpam().applies(query) is applies


class TestEmail(RemoteContract):
    enricher = StopForumSpam
    query = Query("email-addr", "g2fsehis5e@mail.ru")
    path = "/api"
    params = {"email": "g2fsehis5e@mail.ru", "f": "json"}
    answer = {
        "success": 1,
        "email": {
            "value": "g2fsehis5e@mail.ru",
            "lastseen": "2009-06-25 00:24:29",
            "frequency": 2,
            "appears": 1,
            "confidence": 16.34,
        },
    }
    facts = {"reports": 2, "last_reported": "2009-06-25 00:24:29", "confidence": 16.34}
    weights = [0.0817]
    unknown = Reply(
        200, b'{"success":1,"email":{"value":"g2fsehis5e@mail.ru","frequency":0,"appears":0}}'
    )

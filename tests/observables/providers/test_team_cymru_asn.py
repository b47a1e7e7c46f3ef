"""Team Cymru's IP to ASN mapping; the records are those of
https://www.team-cymru.com/ip-asn-mapping.

The layout around them is that of https://developers.google.com/speed/public-dns/docs/doh/json.
"""

import json

import pytest

from services.observables.enrichment.execution.provider_call import Failed
from services.observables.providers.base import InvalidAnswer, Query
from services.observables.providers.team_cymru_asn import TeamCymruASN
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply


def answer_with(*texts):
    records = [
        {"name": "31.108.90.216.origin.asn.cymru.com.", "type": 16, "TTL": 14400, "data": text}
        for text in texts
    ]
    return {
        "Status": 0,
        "TC": False,
        "RD": True,
        "RA": True,
        "AD": False,
        "CD": False,
        "Answer": records,
    }


class TestTeamCymruASN(RemoteContract):
    enricher = TeamCymruASN
    query = Query("ipv4-addr", "216.90.108.31")
    path = "/resolve"
    params = {"name": "31.108.90.216.origin.asn.cymru.com", "type": "TXT"}
    answer = answer_with(
        "701 1239 | 216.90.0.0/16 | US | arin | 1998-09-25",
        "23028 | 216.90.108.0/24 | US | arin | 1998-09-25",
    )
    facts = {
        "asns": ["AS23028", "AS701", "AS1239"],
        "prefixes": ["216.90.108.0/24", "216.90.0.0/16"],
        "country": "US",
        "registry": "arin",
        "allocated": "1998-09-25",
    }
    related = [
        ("belongs-to", "autonomous-system", "AS23028"),
        ("belongs-to", "autonomous-system", "AS701"),
        ("belongs-to", "autonomous-system", "AS1239"),
    ]
    unknown = Reply(200, b'{"Status":3,"TC":false,"RD":true,"RA":true,"AD":false,"CD":false}')

    def test_quotes_around_the_text_and_empty_columns(self, provider):
        finding = self.finding(provider, answer_with('"15169 | 8.8.8.0/24 |  |  | "'))
        assert finding.facts == {"asns": ["AS15169"], "prefixes": ["8.8.8.0/24"]}

    @pytest.mark.parametrize(
        "text",
        ["Query limit exceeded", "15169 | 8.8.8.0/24 | US", "NA | 8.8.8.0/24 | US | arin | "],
    )
    def test_another_text_is_no_announcement(self, provider, text):
        outcome = self.ask(provider, Reply(200, json.dumps(answer_with(text)).encode()))
        assert isinstance(outcome, Failed)
        assert isinstance(outcome.error, InvalidAnswer)

    def test_their_name_servers_failing_is_not_unknown(self, provider):
        outcome = self.ask(
            provider,
            Reply(200, b'{"Status":2,"TC":false,"RD":true,"RA":true,"AD":false,"CD":false}'),
        )
        assert isinstance(outcome, Failed)
        assert "DNS response code 2" in outcome.error.message

    def test_it_asks_about_single_public_addresses(self):
        applies = TeamCymruASN().applies
        assert applies(self.query)
        assert not applies(Query("ipv4-addr", "216.90.108.0/24"))
        assert not applies(Query("ipv4-addr", "10.1.2.3"))
        assert not applies(Query("domain-name", "example.com"))


class TestIPv6(RemoteContract):
    enricher = TeamCymruASN
    query = Query("ipv6-addr", "2001:4860:b002::68")
    path = "/resolve"
    params = {
        "name": "8.6.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.b.0.6.8.4.1.0.0.2"
        ".origin6.asn.cymru.com",
        "type": "TXT",
    }
    answer = answer_with("15169 | 2001:4860::/32 | US | arin | 2005-03-14")
    facts = {
        "asns": ["AS15169"],
        "prefixes": ["2001:4860::/32"],
        "country": "US",
        "registry": "arin",
        "allocated": "2005-03-14",
    }
    related = [("belongs-to", "autonomous-system", "AS15169")]
    unknown = Reply(200, b'{"Status":3}')

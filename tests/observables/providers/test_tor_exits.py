"""Tor relays; the layout is that of https://metrics.torproject.org/onionoo.html#details."""

import json

from services.observables.providers.base import Query
from services.observables.providers.tor_exits import TorExits
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

FIELDS = (
    "nickname,fingerprint,or_addresses,exit_addresses,first_seen,last_seen,running,flags,country,"
    "as,as_name"
)


def answer_with(*relays):
    return {
        "version": "8.0",
        "build_revision": "b5d0ee0",
        "relays_published": "2026-11-25 20:00:00",
        "relays": list(relays),
        "bridges_published": "2026-11-25 19:51:24",
        "bridges": [],
    }


class TestTorExits(RemoteContract):
    enricher = TorExits
    query = Query("ipv4-addr", "185.220.101.1")
    path = "/details"
    params = {"search": "185.220.101.1", "type": "relay", "fields": FIELDS}
    answer = answer_with(
        {
            "nickname": "CCCStuttgartBer",
            "fingerprint": "1A4488A367C90641BF13BA9F81DFFD5AB7AB35FA",
            "or_addresses": ["185.220.101.1:10001", "[2a0b:f4c2::1]:10001"],
            "exit_addresses": ["185.220.101.1"],
            "first_seen": "2023-05-02 17:00:00",
            "last_seen": "2026-11-25 19:00:00",
            "running": True,
            "flags": ["Exit", "Fast", "Running", "Valid"],
            "country": "de",
            "as": "AS60729",
            "as_name": "Stiftung Erneuerbare Freiheit",
        },
        {
            "nickname": "CCCStuttgartBer2",
            "fingerprint": "0B6C1E1DCF3B9F18D8EDE4D1F1DB4DBC1CBC3B3A",
            "or_addresses": ["185.220.101.1:20001"],
            "exit_addresses": ["185.220.101.1", "185.220.101.65"],
            "first_seen": "2022-01-09 03:00:00",
            "last_seen": "2026-11-25 20:00:00",
            "running": True,
            "flags": ["Exit", "Guard", "Running"],
            "country": "de",
            "as": "AS60729",
            "as_name": "Stiftung Erneuerbare Freiheit",
        },
        {
            "nickname": "neighbour",
            "fingerprint": "5D0034A368E0ABAF663D21847E1C9B6CFA09752A",
            "or_addresses": ["185.220.101.15:9001"],
            "first_seen": "2020-01-01 00:00:00",
            "last_seen": "2026-11-25 20:00:00",
            "running": True,
            "flags": ["Running"],
        },
    )
    facts = {
        "exit": True,
        "running": True,
        "relays": 2,
        "nicknames": ["CCCStuttgartBer", "CCCStuttgartBer2"],
        "fingerprints": [
            "1A4488A367C90641BF13BA9F81DFFD5AB7AB35FA",
            "0B6C1E1DCF3B9F18D8EDE4D1F1DB4DBC1CBC3B3A",
        ],
        "flags": ["Exit", "Fast", "Running", "Valid", "Guard"],
        "first_seen": "2022-01-09 03:00:00",
        "last_seen": "2026-11-25 20:00:00",
        "country": "DE",
        "asns": ["AS60729"],
        "as_name": "Stiftung Erneuerbare Freiheit",
    }
    related = [
        ("belongs-to", "autonomous-system", "AS60729"),
        ("related-to", "ipv6-addr", "2a0b:f4c2::1"),
        ("related-to", "ipv4-addr", "185.220.101.65"),
    ]
    unknown = Reply(
        200, b'{"version":"8.0","relays_published":"2026-11-25 20:00:00","relays":[],"bridges":[]}'
    )

    def test_relays_of_longer_addresses_only_are_others(self, provider):
        body = json.dumps(answer_with(self.answer["relays"][2])).encode()
        assert self.ask(provider, Reply(200, body)).finding is None

    def test_a_relay_that_is_no_exit(self, provider):
        relay = {
            "fingerprint": "5D0034A368E0ABAF663D21847E1C9B6CFA09752A",
            "or_addresses": ["185.220.101.1:9001"],
            "running": False,
            "flags": ["Guard", "V2Dir"],
        }
        finding = self.finding(provider, answer_with(relay))
        assert finding.facts == {
            "exit": False,
            "running": False,
            "relays": 1,
            "fingerprints": ["5D0034A368E0ABAF663D21847E1C9B6CFA09752A"],
            "flags": ["Guard", "V2Dir"],
        }
        assert finding.related == finding.weights == ()

    def test_an_address_it_only_exits_from(self, provider):
        relay = {
            "fingerprint": "5D0034A368E0ABAF663D21847E1C9B6CFA09752A",
            "or_addresses": ["185.220.102.8:443"],
            "exit_addresses": ["185.220.101.1"],
            "running": True,
        }
        finding = self.finding(provider, answer_with(relay))
        assert finding.facts["exit"] is True
        assert [relation.value for relation in finding.related] == ["185.220.102.8"]

    def test_it_asks_about_single_public_addresses(self):
        assert TorExits().applies(self.query)
        assert not TorExits().applies(Query("ipv4-addr", "185.220.101.0/24"))
        assert not TorExits().applies(Query("ipv6-addr", "fd00::1"))


class TestIPv6(RemoteContract):
    enricher = TorExits
    query = Query("ipv6-addr", "2a0b:f4c2::1")
    path = "/details"
    params = {"search": "[2a0b:f4c2::1]", "type": "relay", "fields": FIELDS}
    answer = answer_with(
        {
            "fingerprint": "1A4488A367C90641BF13BA9F81DFFD5AB7AB35FA",
            "or_addresses": ["185.220.101.1:10001", "[2a0b:f4c2:0:0::1]:10001", "[nonsense]:1"],
            "running": True,
            "flags": ["Exit"],
        }
    )
    facts = {
        "exit": True,
        "running": True,
        "relays": 1,
        "fingerprints": ["1A4488A367C90641BF13BA9F81DFFD5AB7AB35FA"],
        "flags": ["Exit"],
    }
    related = [("related-to", "ipv4-addr", "185.220.101.1")]
    unknown = Reply(200, b'{"version":"8.0","relays":[],"bridges":[]}')

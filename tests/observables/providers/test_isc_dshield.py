"""SANS ISC (DShield); the layout is that of https://isc.sans.edu/api/#ip."""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.isc_dshield import IscDShield
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

NOTHING = (
    b'{"ip":{"number":"192.88.99.1","count":null,"attacks":null,"maxdate":null,'
    b'"mindate":null,"updated":null,'
    b'"comment":null,"maxrisk":null,"asabusecontact":null,"as":null,'
    b'"asname":null,"ascountry":null,"assize":null,'
    b'"network":null,"threatfeeds":null}}'
)


class TestIscDShield(RemoteContract):
    enricher = IscDShield
    query = Query("ipv4-addr", "45.148.10.121")
    path = "/ip/45.148.10.121"
    params = {"json": ""}
    answer = {
        "ip": {
            "number": "45.148.10.121",
            "count": 4213,
            "attacks": 311,
            "maxdate": "2026-11-24",
            "mindate": "2026-10-02",
            "updated": "2026-11-25 04:07:27",
            "comment": None,
            "maxrisk": None,
            "asabusecontact": "abuse@vegatele.com",
            "as": 48090,
            "asname": "PPTECHNOLOGY",
            "ascountry": "GB",
            "assize": 256,
            "network": "45.148.10.0/24",
            "weblogs": {"count": 1},
            "threatfeeds": {
                "blocklistde": {"lastseen": "2026-11-24", "firstseen": "2026-10-03"},
                "ciarmy": {"lastseen": "2026-11-23", "firstseen": "2026-11-01"},
            },
        }
    }
    facts = {
        "reports": 4213,
        "targets": 311,
        "first_reported": "2026-10-02",
        "last_reported": "2026-11-24",
        "lists": ["blocklistde", "ciarmy"],
        "asn": "AS48090",
        "as_name": "PPTECHNOLOGY",
        "country": "GB",
        "network": "45.148.10.0/24",
        "abuse_contact": "abuse@vegatele.com",
    }
    weights = [0.5]
    related = [("belongs-to", "autonomous-system", "AS48090")]
    unknown = Reply(200, NOTHING)

    @pytest.mark.parametrize(
        ("targets", "weights"), [(10, [0.35]), (2, [0.2]), (0, []), (None, [])]
    )
    def test_few_targets_are_a_weak_claim(self, provider, targets, weights):
        answer = {"ip": {"number": "45.148.10.121", "count": 60, "attacks": targets, "as": 48090}}
        assert [weight.weight for weight in self.finding(provider, answer).weights] == weights

    def test_numbers_may_be_texts_and_lists_empty(self, provider):
        answer = {
            "ip": {
                "number": "45.148.10.121",
                "count": "60",
                "attacks": "12",
                "as": "48090",
                "threatfeeds": [],
            },
        }
        assert self.finding(provider, answer).facts == {
            "reports": 60,
            "targets": 12,
            "asn": "AS48090",
        }

    def test_being_on_a_list_is_no_claim(self, provider):
        answer = {
            "ip": {
                "number": "71.6.146.185",
                "count": None,
                "threatfeeds": {"shodan": {}},
                "comment": "Shodan",
            }
        }
        finding = self.finding(provider, answer)
        assert finding.facts == {"lists": ["shodan"], "comment": "Shodan"}
        assert finding.weights == finding.related == ()

    def test_it_asks_about_single_public_addresses(self):
        assert not IscDShield().applies(Query("ipv4-addr", "45.148.10.0/24"))
        assert not IscDShield().applies(Query("ipv4-addr", "192.168.1.1"))

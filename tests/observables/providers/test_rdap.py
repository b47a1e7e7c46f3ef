"""RDAP; the layout is that of
https://www.rfc-editor.org/rfc/rfc9083, and of RFC 7095 for the cards in it.
"""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.rdap import RDAP
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

NOT_FOUND = Reply(
    404,
    b'{"rdapConformance":["rdap_level_0"],"errorCode":404,"title":"Not Found","description":[]}',
)


def card(*properties):
    return ["vcard", [["version", {}, "text", "4.0"], *properties]]


class TestDomain(RemoteContract):
    enricher = RDAP
    query = Query("domain-name", "www.google.com")
    path = "/domain/google.com"
    headers = {"accept": "application/rdap+json"}
    answer = {
        "objectClassName": "domain",
        "handle": "2138514_DOMAIN_COM-VRSN",
        "ldhName": "GOOGLE.COM",
        "links": [{"rel": "self", "href": "https://rdap.verisign.com/com/v1/domain/GOOGLE.COM"}],
        "status": ["client delete prohibited", "server transfer prohibited"],
        "entities": [
            {
                "objectClassName": "entity",
                "handle": "292",
                "roles": ["registrar"],
                "publicIds": [{"type": "IANA Registrar ID", "identifier": "292"}],
                "vcardArray": card(["fn", {}, "text", "MarkMonitor Inc."]),
                "entities": [
                    {
                        "objectClassName": "entity",
                        "roles": ["abuse"],
                        "vcardArray": card(
                            ["fn", {}, "text", ""],
                            ["tel", {"type": "voice"}, "uri", "tel:+1.2086851750"],
                            ["email", {}, "text", "abusecomplaints@markmonitor.com"],
                        ),
                    }
                ],
            },
            {
                "objectClassName": "entity",
                "roles": ["registrant"],
                "vcardArray": card(["fn", {}, "text", "A Person"]),
            },
        ],
        "events": [
            {"eventAction": "registration", "eventDate": "1997-09-15T04:00:00Z"},
            {"eventAction": "expiration", "eventDate": "2028-09-14T04:00:00Z"},
            {"eventAction": "last changed", "eventDate": "2019-09-09T15:39:04Z"},
            {"eventAction": "last update of RDAP database", "eventDate": "2026-11-25T20:59:48Z"},
        ],
        "secureDNS": {"delegationSigned": False},
        "nameservers": [
            {"objectClassName": "nameserver", "ldhName": "NS1.GOOGLE.COM"},
            {"objectClassName": "nameserver", "ldhName": "NS2.GOOGLE.COM."},
        ],
        "rdapConformance": ["rdap_level_0", "icann_rdap_technical_implementation_guide_1"],
    }
    facts = {
        "object": "domain",
        "domain": "google.com",
        "handle": "2138514_DOMAIN_COM-VRSN",
        "status": ["client delete prohibited", "server transfer prohibited"],
        "registered": "1997-09-15T04:00:00Z",
        "changed": "2019-09-09T15:39:04Z",
        "expires": "2028-09-14T04:00:00Z",
        "registrar": "MarkMonitor Inc.",
        "abuse_contact": "abusecomplaints@markmonitor.com",
        "name_servers": ["ns1.google.com", "ns2.google.com"],
        "signed": False,
    }
    unknown = NOT_FOUND

    def test_an_object_with_nothing_in_it(self, provider):
        answer = {
            "objectClassName": "domain",
            "ldhName": None,
            "events": [{"eventAction": "registration"}],
            "entities": None,
            "nameservers": [{"objectClassName": "nameserver"}],
            "secureDNS": {},
        }
        assert self.finding(provider, answer).facts == {"object": "domain"}

    @pytest.mark.parametrize(
        "broken",
        [
            None,
            [],
            ["vcard"],
            ["vcard", {}],
            ["vcard", ["fn", ["fn"], ["fn", {}, "text", ["a", "b"]]]],
        ],
    )
    def test_a_card_that_says_nothing(self, provider, broken):
        answer = {
            "objectClassName": "domain",
            "entities": [{"roles": ["registrar"], "vcardArray": broken}],
        }
        assert self.finding(provider, answer).facts == {"object": "domain"}

    def test_entities_may_have_no_roles(self, provider):
        answer = {
            "objectClassName": "domain",
            "entities": [{"vcardArray": card(["fn", {}, "text", "Somebody"])}],
        }
        assert self.finding(provider, answer).facts == {"object": "domain"}


class TestNetwork(RemoteContract):
    enricher = RDAP
    query = Query("ipv4-addr", "193.0.6.139")
    path = "/ip/193.0.6.139"
    answer = {
        "objectClassName": "ip network",
        "handle": "193.0.0.0 - 193.0.7.255",
        "startAddress": "193.0.0.0",
        "endAddress": "193.0.7.255",
        "ipVersion": "v4",
        "name": "RIPE-NCC",
        "type": "ASSIGNED PA",
        "country": "NL",
        "parentHandle": "193.0.0.0 - 193.0.23.255",
        "cidr0_cidrs": [{"v4prefix": "193.0.0.0", "length": 21}],
        "status": ["active"],
        "entities": [
            {
                "objectClassName": "entity",
                "handle": "ORG-RIEN1-RIPE",
                "roles": ["registrant"],
                "vcardArray": card(
                    [
                        "fn",
                        {},
                        "text",
                        "Reseaux IP Europeens Network Coordination Centre (RIPE NCC)",
                    ],
                    ["kind", {}, "text", "org"],
                ),
            },
            {
                "objectClassName": "entity",
                "handle": "ops4-ripe",
                "roles": ["abuse"],
                "vcardArray": card(["email", {"type": "abuse"}, "text", "abuse@ripe.net"]),
            },
        ],
        "events": [
            {"eventAction": "registration", "eventDate": "2003-03-17T12:15:57Z"},
            {"eventAction": "last changed", "eventDate": "2017-12-04T14:42:31Z"},
        ],
        "rdapConformance": ["cidr0", "rdap_level_0", "nro_rdap_profile_0"],
    }
    facts = {
        "object": "ip network",
        "name": "RIPE-NCC",
        "handle": "193.0.0.0 - 193.0.7.255",
        "allocation": "ASSIGNED PA",
        "country": "NL",
        "cidr": ["193.0.0.0/21"],
        "first_address": "193.0.0.0",
        "last_address": "193.0.7.255",
        "status": ["active"],
        "registered": "2003-03-17T12:15:57Z",
        "changed": "2017-12-04T14:42:31Z",
        "organisation": "Reseaux IP Europeens Network Coordination Centre (RIPE NCC)",
        "abuse_contact": "abuse@ripe.net",
    }
    unknown = NOT_FOUND

    def test_a_network_of_ipv6(self, provider):
        answer = {
            "objectClassName": "ip network",
            "cidr0_cidrs": [{"v6prefix": "2001:67c:2e8::", "length": 48}],
        }
        assert self.finding(provider, answer).facts == {
            "object": "ip network",
            "cidr": ["2001:67c:2e8::/48"],
        }


class TestAutonomousSystem(RemoteContract):
    enricher = RDAP
    query = Query("autonomous-system", "AS15169")
    path = "/autnum/15169"
    answer = {
        "objectClassName": "autnum",
        "handle": "AS15169",
        "startAutnum": 15169,
        "endAutnum": 15169,
        "name": "GOOGLE",
        "status": ["active"],
        "entities": [
            {
                "objectClassName": "entity",
                "handle": "GOGL",
                "roles": ["registrant"],
                "vcardArray": card(["fn", {}, "text", "Google LLC"]),
                "entities": [
                    {
                        "objectClassName": "entity",
                        "handle": "ABUSE5250-ARIN",
                        "roles": ["abuse"],
                        "vcardArray": card(["email", {}, "text", "network-abuse@google.com"]),
                    }
                ],
            }
        ],
        "events": [
            {"eventAction": "last changed", "eventDate": "2012-02-24T09:44:34-05:00"},
            {"eventAction": "registration", "eventDate": "2000-03-30T00:00:00-05:00"},
        ],
    }
    facts = {
        "object": "autnum",
        "name": "GOOGLE",
        "handle": "AS15169",
        "status": ["active"],
        "registered": "2000-03-30T00:00:00-05:00",
        "changed": "2012-02-24T09:44:34-05:00",
        "organisation": "Google LLC",
        "abuse_contact": "network-abuse@google.com",
    }
    unknown = NOT_FOUND


@pytest.mark.parametrize(
    ("query", "path"),
    [
        (Query("domain-name", "mail.example.co.uk"), "/domain/example.co.uk"),
        (Query("ipv4-addr", "193.0.0.0/21"), "/ip/193.0.0.0/21"),
        (Query("ipv6-addr", "2001:67c:2e8::/48"), "/ip/2001:67c:2e8::/48"),
        (Query("ipv6-addr", "2001:67c:2e8:22::c100:68b"), "/ip/2001:67c:2e8:22::c100:68b"),
    ],
)
def test_paths(query, path):
    assert RDAP().request(query, {}).path == path


@pytest.mark.parametrize(
    ("query", "applies"),
    [
        (Query("domain-name", "example.co.uk"), True),
        (Query("domain-name", "co.uk"), False),
        (Query("domain-name", "somebody.github.io"), False),
        (Query("ipv4-addr", "193.0.0.0/21"), True),
        (Query("ipv4-addr", "10.0.0.0/8"), False),
        (Query("ipv6-addr", "fd00::1"), False),
        (Query("autonomous-system", "AS15169"), True),
        (Query("url", "https://example.com/"), False),
    ],
)
def test_what_registries_know(query, applies):
    assert RDAP().applies(query) is applies

"""SecurityTrails; the layout is that of
https://docs.securitytrails.com/reference/get-domain-old-1.
"""

from services.observables.providers.base import Query
from services.observables.providers.securitytrails import SecurityTrails
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestSecurityTrails(RemoteContract):
    enricher = SecurityTrails
    query = Query("domain-name", "oracle.com")
    path = "/domain/oracle.com"
    headers = {"accept": "application/json", "apikey": SECRET}
    answer = {
        "alexa_rank": 339,
        "apex_domain": "oracle.com",
        "hostname": "oracle.com",
        "subdomain_count": 2543,
        "current_dns": {
            "a": {
                "first_seen": "2018-05-23",
                "values": [
                    {"ip": "137.254.16.101", "ip_count": 9, "ip_organization": "Oracle Corporation"}
                ],
            },
            "aaaa": {
                "first_seen": "2021-02-01",
                "values": [
                    {
                        "ipv6": "2606:b400:418:18e0::1",
                        "ipv6_count": 2,
                        "ipv6_organization": "Oracle Corporation",
                    }
                ],
            },
            "mx": {
                "first_seen": "2021-05-11",
                "values": [
                    {
                        "priority": 10,
                        "hostname": "mxa-00069f02.gslb.pphosted.com",
                        "hostname_count": 3,
                        "hostname_organization": "Proofpoint, Inc.",
                    }
                ],
            },
            "ns": {
                "first_seen": "2016-03-03",
                "values": [
                    {
                        "nameserver": "a1-160.akam.net",
                        "nameserver_count": 2180,
                        "nameserver_organization": "Akamai Technologies, Inc.",
                    }
                ],
            },
            "soa": {
                "first_seen": "2021-05-11",
                "values": [{"ttl": 1800, "email": "hostmaster.oracle.com", "email_count": 12}],
            },
            "txt": {
                "first_seen": "2021-05-11",
                "values": [{"value": "v=spf1 include:spf_s.oracle.com ~all"}],
            },
        },
        "endpoint": "/v1/domain/oracle.com",
    }
    facts = {
        "apex": "oracle.com",
        "subdomains": 2543,
        "alexa_rank": 339,
        "addresses": ["137.254.16.101", "2606:b400:418:18e0::1"],
        "organisations": ["Oracle Corporation"],
        "mail_servers": ["mxa-00069f02.gslb.pphosted.com"],
        "name_servers": ["a1-160.akam.net"],
        "texts": ["v=spf1 include:spf_s.oracle.com ~all"],
        "addresses_since": "2018-05-23",
    }
    related = [
        ("resolves-to", "ipv4-addr", "137.254.16.101"),
        ("resolves-to", "ipv6-addr", "2606:b400:418:18e0::1"),
        ("related-to", "domain-name", "mxa-00069f02.gslb.pphosted.com"),
        ("related-to", "domain-name", "a1-160.akam.net"),
    ]
    unknown = Reply(
        200,
        b'{"hostname":"oracle.com","apex_domain":"oracle.com","alexa_rank":null,'
        b'"subdomain_count":0,'
        b'"current_dns":{"a":{},"aaaa":{},"mx":{},"ns":{},"soa":{},"txt":{}}}',
    )

    def test_records_that_are_missing_are_left_out(self, provider):
        finding = self.finding(
            provider, {"current_dns": {"a": {"values": None}, "mx": None}, "subdomain_count": 3}
        )
        assert dict(finding.facts) == {"subdomains": 3}
        assert not finding.related

    def test_only_sub_domains_are_known(self, provider):
        assert (
            self.finding(provider, {"current_dns": None, "subdomain_count": 1}).facts["subdomains"]
            == 1
        )

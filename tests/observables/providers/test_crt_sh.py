"""crt.sh; the layout is what
https://crt.sh/?q=insecure.com&output=json answers (its search: https://crt.sh/?a=1).
"""

from services.observables.providers.base import Query
from services.observables.providers.crt_sh import CrtSh
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

ISSUER = "C=GB, O=COMODO CA Limited, CN=COMODO RSA Domain Validation Secure Server CA"


class TestCrtSh(RemoteContract):
    enricher = CrtSh
    query = Query("domain-name", "insecure.com")
    path = "/"
    params = {"q": "insecure.com", "output": "json", "deduplicate": "Y"}
    answer = [
        {
            "issuer_ca_id": 16418,
            "issuer_name": "C=US, O=Let's Encrypt, CN=Let's Encrypt Authority X3",
            "common_name": "insecure.com",
            "name_value": "insecure.com\nissues.nmap.org\n*.nmap.org",
            "id": 2549490984,
            "entry_timestamp": "2020-03-07T00:14:48.255",
            "not_before": "2020-03-06T23:14:48",
            "not_after": "2020-06-04T23:14:48",
            "serial_number": "03b5914e5f28724457a5a51ad2c494d040f6",
            "result_count": 4,
        },
        {
            "issuer_ca_id": 904,
            "issuer_name": ISSUER,
            "common_name": "www.insecure.com",
            "name_value": "www.insecure.com\nhostmaster@insecure.com",
            "id": 103417893,
            "entry_timestamp": "2017-03-13T22:01:11.442",
            "not_before": "2017-03-13T00:00:00",
            "not_after": "2020-03-12T23:59:59",
            "serial_number": "0f3acb",
            "result_count": 2,
        },
    ]
    facts = {
        "certificates": 2,
        "names": [
            "insecure.com",
            "issues.nmap.org",
            "*.nmap.org",
            "www.insecure.com",
            "hostmaster@insecure.com",
        ],
        "issuers": [
            "C=US, O=Let's Encrypt, CN=Let's Encrypt Authority X3",
            ISSUER,
        ],
        "first_issued": "2017-03-13T00:00:00",
        "last_issued": "2020-03-06T23:14:48",
        "valid_until": "2020-06-04T23:14:48",
    }
    related = [
        ("related-to", "domain-name", "issues.nmap.org"),
        ("related-to", "domain-name", "nmap.org"),
        ("related-to", "domain-name", "www.insecure.com"),
    ]
    unknown = Reply(200, b"[]")

    def test_a_certificate_without_names_and_dates(self, provider):
        answer = [
            {
                "issuer_ca_id": 1,
                "issuer_name": "C=US, O=Example",
                "common_name": None,
                "name_value": "",
                "id": 7,
            }
        ]
        finding = self.finding(provider, answer)
        assert finding.facts == {"certificates": 1, "issuers": ["C=US, O=Example"]}
        assert finding.related == ()

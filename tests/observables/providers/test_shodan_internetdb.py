"""Shodan InternetDB; the layout is that of its OpenAPI description at
https://internetdb.shodan.io/.
"""

import pytest

from services.observables.providers.base import Query
from services.observables.providers.shodan_internetdb import ShodanInternetDB
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply


class TestShodanInternetDB(RemoteContract):
    enricher = ShodanInternetDB
    query = Query("ipv4-addr", "45.33.32.156")
    path = "/45.33.32.156"
    answer = {
        "cpes": ["cpe:/a:apache:http_server:2.4.7", "cpe:/o:canonical:ubuntu_linux"],
        "hostnames": ["scanme.nmap.org"],
        "ip": "45.33.32.156",
        "ports": [22, 80, 123],
        "tags": ["cloud"],
        "vulns": ["CVE-2021-40438"],
    }
    facts = {
        "ports": [22, 80, 123],
        "hostnames": ["scanme.nmap.org"],
        "cpes": ["cpe:/a:apache:http_server:2.4.7", "cpe:/o:canonical:ubuntu_linux"],
        "tags": ["cloud"],
        "vulnerabilities": ["CVE-2021-40438"],
    }
    related = [
        ("<resolves-to", "domain-name", "scanme.nmap.org"),
        ("related-to", "vulnerability", "CVE-2021-40438"),
    ]
    unknown = Reply(404, b'{"detail":"No information available"}')

    @pytest.mark.parametrize("value", ["8.8.8.0/24", "10.0.0.1", "224.0.0.1"])
    def test_only_public_addresses_are_queried(self, value):
        assert not ShodanInternetDB().applies(Query("ipv4-addr", value))

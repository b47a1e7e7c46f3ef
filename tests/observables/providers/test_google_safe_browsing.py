"""Google Safe Browsing; the layout is that of
https://developers.google.com/safe-browsing/v4/lookup-api.
"""

import json

import pytest

from services.observables.providers.base import Query
from services.observables.providers.google_safe_browsing import GoogleSafeBrowsing
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply

_URL = "http://testsafebrowsing.appspot.com/s/malware.html"


class TestGoogleSafeBrowsing(RemoteContract):
    enricher = GoogleSafeBrowsing
    query = Query("url", _URL)
    method = "POST"
    path = "/v4/threatMatches:find"
    headers = {"content-type": "application/json", "x-goog-api-key": SECRET}
    body = json.dumps(
        {
            "client": {"clientId": "sentineliq", "clientVersion": "1"},
            "threatInfo": {
                "threatTypes": [
                    "MALWARE",
                    "SOCIAL_ENGINEERING",
                    "UNWANTED_SOFTWARE",
                    "POTENTIALLY_HARMFUL_APPLICATION",
                ],
                "platformTypes": ["ANY_PLATFORM"],
                "threatEntryTypes": ["URL"],
                "threatEntries": [{"url": _URL}],
            },
        },
        separators=(",", ":"),
    ).encode()
    answer = {
        "matches": [
            {
                "threatType": "MALWARE",
                "platformType": "ANY_PLATFORM",
                "threatEntryType": "URL",
                "threat": {"url": _URL},
                "threatEntryMetadata": {
                    "entries": [{"key": "bWFsd2FyZV90aHJlYXRfdHlwZQ==", "value": "TEFORElORw=="}]
                },
                "cacheDuration": "300.000s",
            },
            {
                "threatType": "UNWANTED_SOFTWARE",
                "platformType": "ANY_PLATFORM",
                "threatEntryType": "URL",
                "threat": {"url": _URL},
                "cacheDuration": "300s",
            },
        ]
    }
    facts = {"threats": ["MALWARE", "UNWANTED_SOFTWARE"], "platforms": ["ANY_PLATFORM"]}
    weights = [0.85]
    unknown = Reply(200, b"{}\n")

    @pytest.mark.parametrize(
        ("threat", "weight"), [("UNWANTED_SOFTWARE", 0.6), ("SOMETHING_NEW", 0.5)]
    )
    def test_lesser_threats(self, provider, threat, weight):
        finding = self.finding(provider, {"matches": [{"threatType": threat}]})
        assert [weight.weight for weight in finding.weights] == [weight]

    def test_a_name_is_queried_as_the_root_of_its_site(self):
        request = GoogleSafeBrowsing().request(Query("domain-name", "example.com"), {"key": SECRET})
        assert json.loads(request.content)["threatInfo"]["threatEntries"] == [
            {"url": "http://example.com/"}
        ]

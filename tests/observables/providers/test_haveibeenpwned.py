"""Have I Been Pwned; the layout is that of https://haveibeenpwned.com/API/v3#BreachModel."""

import json

from services.observables.enrichment.execution.provider_call import Answered
from services.observables.providers.base import Query
from services.observables.providers.haveibeenpwned import HaveIBeenPwned
from tests.observables.providers.contract import SECRET, RemoteContract
from tests.observables.providers.provider import Reply


class TestHaveIBeenPwned(RemoteContract):
    enricher = HaveIBeenPwned
    query = Query("email-addr", "multiple-breaches@hibp-integration-tests.com")
    path = "/breachedaccount/multiple-breaches%40hibp-integration-tests.com"
    params = {"truncateResponse": "false"}
    headers = {"hibp-api-key": SECRET}
    answer = [
        {
            "Name": "Adobe",
            "Title": "Adobe",
            "Domain": "adobe.com",
            "BreachDate": "2013-10-04",
            "AddedDate": "2013-12-04T00:00Z",
            "ModifiedDate": "2022-05-15T23:52Z",
            "PwnCount": 152445165,
            "Description": "In October 2013, <em>153 million</em> Adobe accounts were breached.",
            "LogoPath": "https://logos.haveibeenpwned.com/Adobe.png",
            "Attribution": None,
            "DisclosureUrl": None,
            "DataClasses": ["Email addresses", "Password hints", "Passwords", "Usernames"],
            "IsVerified": True,
            "IsFabricated": False,
            "IsSensitive": False,
            "IsRetired": False,
            "IsSpamList": False,
            "IsMalware": False,
            "IsStealerLog": False,
            "IsSubscriptionFree": False,
        },
        {
            "Name": "ALIENStealerLogs",
            "Title": "ALIEN TXTBASE Stealer Logs",
            "Domain": "",
            "BreachDate": "2025-02-07",
            "DataClasses": ["Email addresses", "Passwords"],
            "IsVerified": True,
            "IsSpamList": False,
            "IsMalware": True,
            "IsStealerLog": True,
        },
        {
            "Name": "OnlinerSpambot",
            "BreachDate": "2017-08-28",
            "DataClasses": ["Email addresses", "Passwords"],
            "IsVerified": False,
            "IsSpamList": True,
        },
    ]
    facts = {
        "breach_count": 3,
        "breaches": ["ALIENStealerLogs", "OnlinerSpambot", "Adobe"],
        "last_breach": "2025-02-07",
        "data_classes": ["Email addresses", "Passwords", "Password hints", "Usernames"],
        "verified": 2,
        "spam_lists": 1,
        "malware": 1,
        "stealer_logs": 1,
    }
    unknown = Reply(404)

    def test_truncated_breaches_have_only_a_name(self, provider):
        finding = self.finding(provider, [{"Name": "Adobe"}])
        counts = {"verified": 0, "spam_lists": 0, "malware": 0, "stealer_logs": 0}
        assert dict(finding.facts) == {"breach_count": 1, "breaches": ["Adobe"]} | counts

    def test_no_breach_is_unknown(self, provider):
        outcome = self.ask(provider, Reply(body=json.dumps([]).encode()))
        assert isinstance(outcome, Answered)
        assert outcome.finding is None

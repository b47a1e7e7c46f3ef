"""Cloudflare 1.1.1.2; the refusal is that of
https://developers.cloudflare.com/1.1.1.1/setup/#1111-for-families.

The layout is that of
https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/.
"""

from services.observables.providers.base import Query
from services.observables.providers.cloudflare_security import CloudflareSecurity
from tests.observables.providers.contract import RemoteContract
from tests.observables.providers.provider import Reply

NOWHERE = "0.0.0.0"  # noqa: S104  # compared, never bound


class TestCloudflareSecurity(RemoteContract):
    enricher = CloudflareSecurity
    query = Query("domain-name", "malware.testcategory.com")
    path = "/dns-query"
    params = {"name": "malware.testcategory.com", "type": "A"}
    headers = {"accept": "application/dns-json"}
    answer = {
        "Status": 0,
        "TC": False,
        "RD": True,
        "RA": True,
        "AD": False,
        "CD": False,
        "Question": [{"name": "malware.testcategory.com", "type": 1}],
        "Answer": [{"name": "malware.testcategory.com", "type": 1, "TTL": 60, "data": NOWHERE}],
        "Comment": ["EDE(16): Censored"],
    }
    facts = {"blocked": True, "comment": "EDE(16): Censored"}
    weights = [0.6]
    unknown = Reply(
        200, b'{"Status":3,"TC":false,"RD":true,"RA":true,"AD":true,"CD":false,"Question":[]}'
    )

    def test_a_name_that_resolves_is_not_blocked(self, provider):
        answer = {
            "Status": 0,
            "AD": True,
            "Answer": [{"type": 1, "TTL": 300, "data": "104.16.132.229"}],
        }
        finding = self.finding(provider, answer)
        assert finding.facts == {"blocked": False}
        assert finding.weights == ()

    def test_a_name_that_points_to_nowhere_by_itself_is_not_blocked(self, provider):
        answer = {"Status": 0, "Answer": [{"type": 1, "TTL": 300, "data": NOWHERE}]}
        assert self.finding(provider, answer).facts == {"blocked": False}

    def test_an_error_of_another_kind_is_no_refusal(self, provider):
        answer = {
            "Status": 0,
            "Answer": [{"type": 1, "TTL": 300, "data": NOWHERE}],
            "Comment": ["EDE(3): Stale Answer"],
        }
        assert self.finding(provider, answer).facts == {"blocked": False}

    def test_a_comment_may_be_a_text(self, provider):
        answer = {
            "Status": 0,
            "Answer": [{"type": 1, "TTL": 60, "data": NOWHERE}],
            "Comment": "EDE(17): Filtered",
        }
        assert self.finding(provider, answer).facts == {
            "blocked": True,
            "comment": "EDE(17): Filtered",
        }

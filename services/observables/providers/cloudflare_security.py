"""Cloudflare 1.1.1.2: names that the resolver for families refuses to resolve.

Source: https://developers.cloudflare.com/1.1.1.1/setup/#1111-for-families for the refusals,
https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/
for the layout, and
https://developers.cloudflare.com/1.1.1.1/infrastructure/extended-dns-error-codes/ for the comment.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import DnsAnswer, collect_facts
from shared.stix import ObservableType as Type

_A: Final = 1
_UNSPECIFIED: Final = ["0.0.0.0"]  # noqa: S104  # compared, never bound
_REFUSALS: Final = ("EDE(15)", "EDE(16)", "EDE(17)")  # blocked, censored, filtered


class CloudflareSecurity(RemoteEnricher):
    """Names that Cloudflare takes for malware or phishing."""

    name: ClassVar[str] = "cloudflare_security"
    title: ClassVar[str] = "Cloudflare 1.1.1.2 (malware)"
    documentation: ClassVar[str] = (
        "https://developers.cloudflare.com/1.1.1.1/setup/#1111-for-families"
    )
    base_url: ClassVar[str] = "https://security.cloudflare-dns.com"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN})
    rate: ClassVar[RateLimit] = RateLimit(10, 1)
    lifetime: ClassVar[timedelta] = timedelta(days=1)
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /dns-query` in JSON."""
        params = {"name": query.value, "type": "A"}
        return Request("/dns-query", params, headers={"Accept": "application/dns-json"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read whether the resolver refuses a name; without records nothing is known.

        A refusal is 0.0.0.0 with an extended error: a domain may itself resolve to 0.0.0.0.
        """
        answer = msgspec.json.decode(content, type=DnsAnswer)
        if not answer.records:
            return None
        comments = [answer.comment] if isinstance(answer.comment, str) else answer.comment or []
        refusal = next((comment for comment in comments if comment.startswith(_REFUSALS)), None)
        if refusal is None or answer.data_of(_A) != _UNSPECIFIED:
            return Finding(collect_facts(blocked=False))
        weight = Weight(0.6, "Cloudflare's resolver refuses it as malware or phishing.")
        return Finding(collect_facts(blocked=True, comment=refusal), (weight,))

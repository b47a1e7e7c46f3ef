"""crt.sh: the logged certificates of a name, and the other names in them.

Source: https://crt.sh/?a=1 (the advanced search; `output=json` returns what the page lists).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    earliest,
    latest,
    relations,
)
from shared.stix import ObservableType as Type

_MAX_ISSUERS: Final = 20


class _Certificate(msgspec.Struct):
    id: int
    issuer_name: str
    name_value: str | None = None
    common_name: str | None = None
    not_before: str | None = None
    not_after: str | None = None

    def names(self) -> list[str]:
        names = [self.common_name or "", *(self.name_value or "").split("\n")]
        return [name for name in names if name]


class CrtSh(RemoteEnricher):
    """Certificate transparency: all certificates of a name and of the names below it."""

    name: ClassVar[str] = "crt_sh"
    title: ClassVar[str] = "crt.sh"
    documentation: ClassVar[str] = "https://crt.sh/?a=1"
    base_url: ClassVar[str] = "https://crt.sh"
    types: ClassVar[frozenset[str]] = frozenset({Type.DOMAIN})
    rate: ClassVar[RateLimit] = RateLimit(5, 60)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    timeout: ClassVar[float] = 60.0
    max_body: ClassVar[int] = 8 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "crt.sh")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /`, without the precertificates."""
        return Request("/", {"q": query.value, "output": "json", "deduplicate": "Y"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read number, issuers, times and names; the list is empty for an unknown name."""
        certificates = msgspec.json.decode(content, type=list[_Certificate])
        if not certificates:
            return None
        names = dict.fromkeys(name for certificate in certificates for name in certificate.names())
        starts = [certificate.not_before for certificate in certificates]
        issuers = [certificate.issuer_name for certificate in certificates]
        facts = collect_facts(
            certificates=len(certificates),
            names=distinct(names),
            issuers=distinct(issuers, _MAX_ISSUERS),
            first_issued=earliest(starts),
            last_issued=latest(starts),
            valid_until=latest(certificate.not_after for certificate in certificates),
        )
        return Finding(facts, related=relations("related-to", Type.DOMAIN, names))

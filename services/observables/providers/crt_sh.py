"""crt.sh: the certificates that were logged for a name, and the names beside it in them.

Source: https://crt.sh/?a=1 (its advanced search; `output=json` gives what the page lists).
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Finding,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
)
from services.observables.providers.fields import collect_facts, distinct
from shared.stix import ObservableType as Type

_MOST_ISSUERS: Final = 20


class _Certificate(msgspec.Struct):
    id: int
    issuer_name: str
    name_value: str | None = None
    common_name: str | None = None
    not_before: str | None = None
    not_after: str | None = None

    def names(self) -> list[str]:
        return [
            name for name in (self.common_name or "", *(self.name_value or "").split("\n")) if name
        ]


class CrtSh(RemoteEnricher):
    """Certificate transparency: what certificates were ever issued for a name and for names below it."""

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

    def request(self, query: Query, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """`GET /`, without the precertificates."""
        return Request("/", {"q": query.value, "output": "json", "deduplicate": "Y"})

    def read(self, query: Query, content: bytes) -> Finding | None:  # noqa: ARG002
        """How many, by whom, since when, for which names. An unknown name is an empty list."""
        certificates = msgspec.json.decode(content, type=list[_Certificate])
        if not certificates:
            return None
        names = list(
            dict.fromkeys(name for certificate in certificates for name in certificate.names())
        )
        starts = [certificate.not_before for certificate in certificates if certificate.not_before]
        ends = [certificate.not_after for certificate in certificates if certificate.not_after]
        facts = collect_facts(
            certificates=len(certificates),
            names=distinct(names),
            issuers=distinct(
                (certificate.issuer_name for certificate in certificates), _MOST_ISSUERS
            ),
            first_issued=min(starts, default=None),
            last_issued=max(starts, default=None),
            valid_until=max(ends, default=None),
        )
        return Finding(
            facts,
            related=tuple(RelatedObservable("related-to", Type.DOMAIN, name) for name in names),
        )

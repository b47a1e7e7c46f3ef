"""Have I Been Pwned: the breaches that an e-mail address is in.

Source: https://haveibeenpwned.com/API/v3#BreachesForAccount
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar

import msgspec

from services.observables.providers.base import Finding, Query, RateLimit, RemoteEnricher, Request
from services.observables.providers.fields import collect_facts, distinct, quote_segment
from shared.stix import ObservableType as Type


class _Breach(msgspec.Struct, rename="pascal"):
    name: str
    breach_date: str | None = None
    data_classes: list[str] | None = None
    is_verified: bool | None = None
    is_spam_list: bool | None = None
    is_malware: bool | None = None
    is_stealer_log: bool | None = None


class HaveIBeenPwned(RemoteEnricher):
    """Breaches with an address in them; they carry no weight, for they do not blame its owner."""

    name: ClassVar[str] = "haveibeenpwned"
    title: ClassVar[str] = "Have I Been Pwned"
    documentation: ClassVar[str] = "https://haveibeenpwned.com/API/v3#BreachesForAccount"
    base_url: ClassVar[str] = "https://haveibeenpwned.com/api/v3"
    types: ClassVar[frozenset[str]] = frozenset({Type.EMAIL})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(10, 60)
    concurrency: ClassVar[int] = 1
    lifetime: ClassVar[timedelta] = timedelta(days=7)
    test_query: ClassVar[Query] = Query(Type.EMAIL, "account-exists@hibp-integration-tests.com")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /breachedaccount/{account}` in full, with the key in a header."""
        return Request(
            f"/breachedaccount/{quote_segment(query.value)}",
            {"truncateResponse": "false"},
            auth_headers={"hibp-api-key": key["key"]},
        )

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read breaches, newest first; the provider answers 404 about an address in none."""
        breaches = msgspec.json.decode(content, type=list[_Breach])
        if not breaches:
            return None
        breaches.sort(key=lambda breach: breach.breach_date or "", reverse=True)
        facts = collect_facts(
            breach_count=len(breaches),
            breaches=distinct(breach.name for breach in breaches),
            last_breach=breaches[0].breach_date,
            data_classes=distinct(
                data_class for breach in breaches for data_class in breach.data_classes or ()
            ),
            verified=sum(breach.is_verified is True for breach in breaches),
            spam_lists=sum(breach.is_spam_list is True for breach in breaches),
            malware=sum(breach.is_malware is True for breach in breaches),
            stealer_logs=sum(breach.is_stealer_log is True for breach in breaches),
        )
        return Finding(facts)

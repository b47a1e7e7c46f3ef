"""ThreatFox: indicators of malware, mostly addresses, domains and URLs of its command and control.

Source: https://threatfox.abuse.ch/api/
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from operator import itemgetter
from typing import ClassVar, Final
from urllib.parse import urlsplit

import msgspec

from services.observables.providers.base import (
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.fields import (
    JSON_HEADERS,
    collect_facts,
    distinct,
    is_public_address,
)
from shared.stix import ObservableType as Type

_FILES: Final = frozenset({Type.MD5, Type.SHA256})
_UNKNOWN: Final = frozenset({"no_result", "no_results"})
_HOSTS: Final = frozenset({Type.IPV4, Type.DOMAIN})
_DELIVERY: Final = "payload_delivery"
_PEERS: Final[Mapping[str, str]] = {"ip:port": Type.IPV4, "domain": Type.DOMAIN}


class _Indicator(msgspec.Struct):
    ioc: str
    ioc_type: str
    threat_type: str
    confidence_level: int
    malware: str | None = None
    malware_printable: str | None = None
    malware_alias: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    tags: list[str] | None = None


class _Answer(msgspec.Struct):
    query_status: str
    data: list[_Indicator] | str | None = None


class ThreatFox(RemoteEnricher):
    """Indicators that abuse.ch and its community share."""

    name: ClassVar[str] = "threatfox"
    title: ClassVar[str] = "abuse.ch ThreatFox"
    documentation: ClassVar[str] = "https://threatfox.abuse.ch/api/"
    base_url: ClassVar[str] = "https://threatfox-api.abuse.ch"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.DOMAIN, Type.URL, *_FILES})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 2000
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_body: ClassVar[int] = 4 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.DOMAIN, "example.com")

    def applies(self, query: Query) -> bool:
        """URLs, names, files, and addresses of the public network."""
        return query.type in self.types and (
            query.type != Type.IPV4 or is_public_address(query.value)
        )

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`POST /api/v1/`: JSON, with the key in a header."""
        question: dict[str, str | bool]
        if query.type in _FILES:
            question = {"query": "search_hash", "hash": query.value}
        else:
            # An address is found with each of its ports only when the match need not be exact.
            exact = query.type == Type.URL
            question = {"query": "search_ioc", "search_term": query.value, "exact_match": exact}
        body = msgspec.json.encode(question)
        return Request("/api/v1/", {}, "POST", JSON_HEADERS, {"Auth-Key": key["key"]}, body)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """The loudest indicator is a voice; a URL only says something about its host. Unknown is `no_result`."""
        answer = msgspec.json.decode(content, type=_Answer)
        if answer.query_status in _UNKNOWN:
            return None
        if answer.query_status != "ok" or not isinstance(answer.data, list):
            raise InvalidAnswer(f"ThreatFox answered with the status {answer.query_status[:50]!r}.")
        found = [
            one for one in answer.data if query.type not in _HOSTS or _host(one.ioc) == query.value
        ]
        if not found:
            return None
        weight, surest = max(((_voice(query, one), one) for one in found), key=itemgetter(0))
        facts = collect_facts(
            indicators=len(found),
            confidence=surest.confidence_level,
            malware=distinct(one.malware_printable or one.malware for one in found),
            aliases=distinct(
                alias for one in found for alias in (one.malware_alias or "").split(",")
            ),
            threats=distinct(one.threat_type for one in found),
            tags=distinct(tag for one in found for tag in one.tags or []),
            first_seen=min((one.first_seen for one in found if one.first_seen), default=None),
            last_seen=max((one.last_seen for one in found if one.last_seen), default=None),
        )
        name = surest.malware_printable or surest.malware or "malware"
        reason = f"an indicator of {name} ({surest.threat_type}), confidence {surest.confidence_level} %."
        weights = (Weight(weight, reason),) if weight > 0 else ()
        return Finding(facts, weights, tuple(_related(query, found)))


def _voice(query: Query, one: _Indicator) -> float:
    """How loud an indicator is. Malware is also served by hosts that are not bad themselves."""
    believed = 0.5 if query.type == Type.DOMAIN and one.ioc_type == "url" else 0.9
    return believed * min(one.confidence_level, 100) / 100


def _host(ioc: str) -> str:
    """The address or domain of an indicator, which may be one with a port, or a URL."""
    try:
        return urlsplit(ioc if "://" in ioc else f"//{ioc}").hostname or ioc
    except ValueError:
        return ioc


def _related(query: Query, found: list[_Indicator]) -> Iterable[RelatedObservable]:
    """URLs at the host, or what the file that was asked about has to do with."""
    for one in found:
        if query.type in _HOSTS and one.ioc_type == "url":
            yield RelatedObservable("related-to", Type.URL, one.ioc)
        if query.type not in _FILES:
            continue
        if one.ioc_type == "url":
            yield RelatedObservable(
                "downloaded-from" if one.threat_type == _DELIVERY else "communicates-with",
                Type.URL,
                one.ioc,
            )
        elif one.ioc_type in _PEERS:
            yield RelatedObservable("communicates-with", _PEERS[one.ioc_type], _host(one.ioc))

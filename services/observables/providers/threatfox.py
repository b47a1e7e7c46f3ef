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
    Asked,
    BadAnswer,
    Finding,
    Rate,
    Related,
    RemoteEnricher,
    Request,
    Weight,
)
from services.observables.providers.reading import JSON, listed, public_address, told
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
    base: ClassVar[str] = "https://threatfox-api.abuse.ch"
    types: ClassVar[frozenset[str]] = frozenset({Type.IPV4, Type.DOMAIN, Type.URL, *_FILES})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[Rate] = Rate(60, 60)
    daily: ClassVar[int | None] = 2000
    concurrency: ClassVar[int] = 2
    lifetime: ClassVar[timedelta] = timedelta(hours=12)
    max_body: ClassVar[int] = 4 * 1024 * 1024
    harmless: ClassVar[Asked] = Asked(Type.DOMAIN, "example.com")

    def applies(self, asked: Asked) -> bool:
        """URLs, names, files, and addresses of the public network."""
        return asked.type in self.types and (asked.type != Type.IPV4 or public_address(asked.value))

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:
        """`POST /api/v1/`: JSON, with the key in a header."""
        question: dict[str, str | bool]
        if asked.type in _FILES:
            question = {"query": "search_hash", "hash": asked.value}
        else:
            # An address is found with each of its ports only when the match need not be exact.
            exact = asked.type == Type.URL
            question = {"query": "search_ioc", "search_term": asked.value, "exact_match": exact}
        body = msgspec.json.encode(question)
        return Request("/api/v1/", {}, "POST", JSON, {"Auth-Key": key["key"]}, body)

    def read(self, asked: Asked, content: bytes) -> Finding | None:
        """The loudest indicator is a voice; a URL only says something about its host. Unknown is `no_result`."""
        answer = msgspec.json.decode(content, type=_Answer)
        if answer.query_status in _UNKNOWN:
            return None
        if answer.query_status != "ok" or not isinstance(answer.data, list):
            raise BadAnswer(f"ThreatFox answered with the status {answer.query_status[:50]!r}.")
        found = [
            one for one in answer.data if asked.type not in _HOSTS or _host(one.ioc) == asked.value
        ]
        if not found:
            return None
        weight, surest = max(((_voice(asked, one), one) for one in found), key=itemgetter(0))
        facts = told(
            indicators=len(found),
            confidence=surest.confidence_level,
            malware=listed(one.malware_printable or one.malware for one in found),
            aliases=listed(
                alias for one in found for alias in (one.malware_alias or "").split(",")
            ),
            threats=listed(one.threat_type for one in found),
            tags=listed(tag for one in found for tag in one.tags or []),
            first_seen=min((one.first_seen for one in found if one.first_seen), default=None),
            last_seen=max((one.last_seen for one in found if one.last_seen), default=None),
        )
        name = surest.malware_printable or surest.malware or "malware"
        reason = f"an indicator of {name} ({surest.threat_type}), confidence {surest.confidence_level} %."
        weights = (Weight(weight, reason),) if weight > 0 else ()
        return Finding(facts, weights, tuple(_related(asked, found)))


def _voice(asked: Asked, one: _Indicator) -> float:
    """How loud an indicator is. Malware is also served by hosts that are not bad themselves."""
    believed = 0.5 if asked.type == Type.DOMAIN and one.ioc_type == "url" else 0.9
    return believed * min(one.confidence_level, 100) / 100


def _host(ioc: str) -> str:
    """The address or domain of an indicator, which may be one with a port, or a URL."""
    try:
        return urlsplit(ioc if "://" in ioc else f"//{ioc}").hostname or ioc
    except ValueError:
        return ioc


def _related(asked: Asked, found: list[_Indicator]) -> Iterable[Related]:
    """URLs at the host, or what the file that was asked about has to do with."""
    for one in found:
        if asked.type in _HOSTS and one.ioc_type == "url":
            yield Related("related-to", Type.URL, one.ioc)
        if asked.type not in _FILES:
            continue
        if one.ioc_type == "url":
            yield Related(
                "downloaded-from" if one.threat_type == _DELIVERY else "communicates-with",
                Type.URL,
                one.ioc,
            )
        elif one.ioc_type in _PEERS:
            yield Related("communicates-with", _PEERS[one.ioc_type], _host(one.ioc))

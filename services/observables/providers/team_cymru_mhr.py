"""Team Cymru's Malware Hash Registry: how many engines take a file for malware.

It is served in the DNS, and asked for through Google's resolver in JSON. Free for non-commercial use only.

Source: https://hash.cymru.com/docs_dns
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

from services.observables.providers.base import (
    Asked,
    BadAnswer,
    Finding,
    Rate,
    RemoteEnricher,
    Request,
    Tlp,
    Weight,
)
from services.observables.providers.reading import dns_texts, from_epoch, told
from shared.stix import ObservableType as Type

_LABEL: Final = 32
_RECORD: Final = re.compile(r"([0-9]{1,12}) ([0-9]{1,3})", re.ASCII)


class TeamCymruMHR(RemoteEnricher):
    """Files that at least five in a hundred of some thirty engines detect; known good files are not in it."""

    name: ClassVar[str] = "team_cymru_mhr"
    title: ClassVar[str] = "Team Cymru Malware Hash Registry"
    documentation: ClassVar[str] = "https://hash.cymru.com/docs_dns"
    base: ClassVar[str] = "https://dns.google"
    types: ClassVar[frozenset[str]] = frozenset({Type.MD5, Type.SHA1, Type.SHA256})
    rate: ClassVar[Rate] = Rate(5, 1)
    concurrency: ClassVar[int] = 2
    max_tlp: ClassVar[Tlp] = "amber"
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    counts_for: ClassVar[timedelta] = timedelta(days=365)
    harmless: ClassVar[Asked] = Asked(Type.MD5, "8a62d103168974fba9c61edab336038c")

    def request(self, asked: Asked, key: Mapping[str, str]) -> Request:  # noqa: ARG002  # it wants no key
        """TXT of the hash in their zone; a SHA-256 takes two labels."""
        value, rest = asked.value, ""
        if asked.type == Type.SHA256:
            value, rest = asked.value[:_LABEL], f".{asked.value[_LABEL:]}"
        return Request("/resolve", {"name": f"{value}{rest}.hash.cymru.com", "type": "TXT"})

    def read(self, asked: Asked, content: bytes) -> Finding | None:  # noqa: ARG002
        """`1611956489 28`: when it was last seen, and the share of engines in percent."""
        texts = dns_texts(content)
        if not texts:
            return None
        found = _RECORD.fullmatch(texts[0])
        if not found:
            raise BadAnswer(f"Team Cymru's record is none of a detection: {texts[0][:80]}")
        rate = min(int(found[2]), 100)
        facts = told(detection_rate=rate, last_seen=from_epoch(int(found[1])))
        if not rate:
            return Finding(facts)
        reason = f"{rate} % of the engines detect it."
        return Finding(facts, (Weight(min(0.9, 0.3 + rate / 100), reason),))

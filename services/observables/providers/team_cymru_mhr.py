"""Team Cymru's Malware Hash Registry: the share of engines that detect a file as malware.

The registry is served in the DNS; it is queried through Google's resolver in JSON. It is free for
non-commercial use only.

Source: https://hash.cymru.com/docs_dns
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

from services.observables.providers.base import (
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RemoteEnricher,
    Request,
    Tlp,
    Weight,
)
from services.observables.providers.fields import collect_facts, epoch_to_rfc3339, parse_dns_txt
from shared.stix import ObservableType as Type

_MAX_LABEL: Final = 32
_RECORD: Final = re.compile(r"([0-9]{1,12}) ([0-9]{1,3})", re.ASCII)


class TeamCymruMHR(RemoteEnricher):
    """Files that at least 5 % of some thirty engines detect, without known good files."""

    name: ClassVar[str] = "team_cymru_mhr"
    title: ClassVar[str] = "Team Cymru Malware Hash Registry"
    origin: ClassVar[str] = "team-cymru"
    documentation: ClassVar[str] = "https://hash.cymru.com/docs_dns"
    base_url: ClassVar[str] = "https://dns.google"
    types: ClassVar[frozenset[str]] = frozenset({Type.MD5, Type.SHA1, Type.SHA256})
    rate: ClassVar[RateLimit] = RateLimit(5, 1)
    concurrency: ClassVar[int] = 2
    max_tlp: ClassVar[Tlp] = "amber"
    lifetime: ClassVar[timedelta] = timedelta(days=3)
    weights_lifetime: ClassVar[timedelta] = timedelta(days=365)
    test_query: ClassVar[Query] = Query(Type.MD5, "8a62d103168974fba9c61edab336038c")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """The TXT records of the hash in the provider's zone; a SHA-256 takes two labels."""
        label = query.value
        if query.type == Type.SHA256:
            label = f"{query.value[:_MAX_LABEL]}.{query.value[_MAX_LABEL:]}"
        return Request("/resolve", {"name": f"{label}.hash.cymru.com", "type": "TXT"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read a record such as `1611956489 28`.

        It holds the time of the last sighting and the percentage of engines that detect the file.
        """
        texts = parse_dns_txt(content)
        if not texts:
            return None
        record = _RECORD.fullmatch(texts[0])
        if not record:
            raise InvalidAnswer(f"Team Cymru's record is none of a detection: {texts[0][:80]}")
        rate = min(int(record[2]), 100)
        facts = collect_facts(detection_rate=rate, last_seen=epoch_to_rfc3339(int(record[1])))
        if not rate:
            return Finding(facts)
        reason = f"{rate} % of the engines detect it."
        return Finding(facts, (Weight(min(0.9, 0.3 + rate / 100), reason),))

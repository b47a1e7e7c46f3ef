"""YARAify: the YARA rules and ClamAV signatures that match a file.

Source: https://yaraify.abuse.ch/api/#query-filehash
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

from services.observables.providers.base import (
    Fact,
    Finding,
    InvalidAnswer,
    Query,
    RateLimit,
    RelatedObservable,
    RemoteEnricher,
    Request,
    Tlp,
    Weight,
)
from services.observables.providers.fields import (
    JSON_HEADERS,
    Values,
    collect_facts,
    distinct,
    hash_relations,
    relations,
)
from shared.stix import ObservableType as Type

_MAX_FILE_NAMES: Final = 20
_UNKNOWN: Final = frozenset({"no_results", "no_result", "hash_not_found", "not_found"})


class _Metadata(msgspec.Struct):
    sha256_hash: str
    sha1_hash: str | None = None
    md5_hash: str | None = None
    file_size: int | None = None
    file_type_mime: str | None = None
    first_seen: str | None = None
    last_seen: str | None = None
    sightings: int | None = None
    imphash: str | None = None
    tlsh: str | None = None


class _Rule(msgspec.Struct):
    rule_name: str


class _Unpacked(msgspec.Struct):
    unpacked_sha256: str | None = None
    unpacked_yara_matches: list[_Rule] | None = None


class _Task(msgspec.Struct):
    file_name: str | None = None
    clamav_results: list[str] | None = None
    static_results: list[_Rule] | None = None
    unpacker_results: list[_Unpacked] | None = None


class _Data(msgspec.Struct):
    metadata: _Metadata
    tasks: list[_Task] | None = None


class _Status(msgspec.Struct):
    query_status: str


class _Answer(msgspec.Struct):
    data: _Data


class YARAify(RemoteEnricher):
    """Scans of a file with the rules of YARAhub and others."""

    name: ClassVar[str] = "yaraify"
    title: ClassVar[str] = "abuse.ch YARAify"
    origin: ClassVar[str] = "abuse.ch"
    documentation: ClassVar[str] = "https://yaraify.abuse.ch/api/"
    base_url: ClassVar[str] = "https://yaraify-api.abuse.ch"
    types: ClassVar[frozenset[str]] = frozenset({Type.MD5, Type.SHA1, Type.SHA256})
    key_fields: ClassVar[tuple[str, ...]] = ("key",)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    daily: ClassVar[int | None] = 2000
    concurrency: ClassVar[int] = 2
    max_tlp: ClassVar[Tlp] = "amber"
    lifetime: ClassVar[timedelta] = timedelta(days=2)
    max_body: ClassVar[int] = 4 * 1024 * 1024
    test_query: ClassVar[Query] = Query(Type.MD5, "d41d8cd98f00b204e9800998ecf8427e")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`POST /api/v1/`: JSON, with the key in a header."""
        body = msgspec.json.encode({"query": "lookup_hash", "search_term": query.value})
        return Request("/api/v1/", {}, "POST", JSON_HEADERS, {"Auth-Key": key["key"]}, body)

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read the scans of a file; the status is `no_results` for an unknown one.

        ClamAV is a claim. Rules alone are a faint one, for many only detect packers.
        """
        status = msgspec.json.decode(content, type=_Status).query_status
        if status in _UNKNOWN:
            return None
        if status != "ok":
            raise InvalidAnswer(f"YARAify answered with the status {status[:50]!r}.")
        data = msgspec.json.decode(content, type=_Answer).data
        tasks = data.tasks or []
        clamav = _clamav_signatures(tasks)
        rules = _yara_rules(tasks)
        unpacked = [file for task in tasks for file in task.unpacker_results or ()]
        facts = _file_facts(data.metadata, tasks) | collect_facts(
            clamav=clamav, yara_rules=rules, yara_rules_unpacked=_rules_unpacked(unpacked)
        )
        return Finding(facts, _weights(clamav, rules), _related(data.metadata, unpacked))


def _file_facts(file: _Metadata, tasks: list[_Task]) -> dict[str, Fact]:
    return collect_facts(
        file_names=distinct((task.file_name for task in tasks), _MAX_FILE_NAMES),
        file_size=file.file_size,
        mime=file.file_type_mime,
        first_seen=file.first_seen,
        last_seen=file.last_seen,
        sightings=file.sightings,
    )


def _clamav_signatures(tasks: list[_Task]) -> Values:
    return distinct(name for task in tasks for name in task.clamav_results or ())


def _yara_rules(tasks: list[_Task]) -> Values:
    return distinct(rule.rule_name for task in tasks for rule in task.static_results or ())


def _rules_unpacked(unpacked: list[_Unpacked]) -> Values:
    """The rules that match files within the file."""
    return distinct(
        rule.rule_name for file in unpacked for rule in file.unpacked_yara_matches or ()
    )


def _weights(clamav: Values, rules: Values) -> tuple[Weight, ...]:
    if clamav:
        return (Weight(0.6, f"ClamAV detects {', '.join(map(str, clamav[:5]))}."),)
    if rules:
        return (Weight(0.2, f"matched by {len(rules)} YARA rules."),)
    return ()


def _related(file: _Metadata, unpacked: list[_Unpacked]) -> tuple[RelatedObservable, ...]:
    parts = [part.unpacked_sha256 for part in unpacked]
    return (
        *hash_relations(file.md5_hash, file.sha1_hash, file.sha256_hash),
        *relations("related-to", Type.IMPHASH, [file.imphash]),
        *relations("related-to", Type.TLSH, [file.tlsh]),
        *relations("part-of", Type.SHA256, parts, inward=True),
    )

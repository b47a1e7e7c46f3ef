"""CIRCL hashlookup: files that operating systems and software packages consist of. No key needed.

Source: https://www.circl.lu/services/hashlookup/ and https://hashlookup.circl.lu/swagger.json
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Final

import msgspec

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
from services.observables.providers.fields import (
    collect_facts,
    distinct,
    hash_relations,
    quote_segment,
)
from shared.stix import ObservableType as Type

_ALGORITHMS: Final[Mapping[str, str]] = {Type.MD5: "md5", Type.SHA1: "sha1", Type.SHA256: "sha256"}
_NEUTRAL_TRUST: Final = 50
"""CIRCL's trust goes from 0 to 100 and begins here."""


class _Product(msgspec.Struct):
    product_name: str | None = msgspec.field(default=None, name="ProductName")
    product_version: str | None = msgspec.field(default=None, name="ProductVersion")


class _Package(msgspec.Struct):
    package_name: str | None = msgspec.field(default=None, name="PackageName")


class _File(msgspec.Struct):
    md5: str | None = msgspec.field(default=None, name="MD5")
    sha1: str | None = msgspec.field(default=None, name="SHA-1")
    sha256: str | None = msgspec.field(default=None, name="SHA-256")
    file_name: str | None = msgspec.field(default=None, name="FileName")
    file_size: int | str | None = msgspec.field(default=None, name="FileSize")
    package_name: str | None = msgspec.field(default=None, name="PackageName")
    product: _Product | str | int | None = msgspec.field(default=None, name="ProductCode")
    source: str | None = None
    database: str | None = msgspec.field(default=None, name="db")
    known_malicious: str | list[str] | None = msgspec.field(default=None, name="KnownMalicious")
    parents: list[_Package] | None = None
    trust: int | None = msgspec.field(default=None, name="hashlookup:trust")

    def malicious_sources(self) -> list[str]:
        """The sources that call the file malicious."""
        if isinstance(self.known_malicious, str):
            return [self.known_malicious]
        return self.known_malicious or []


class CirclHashlookup(RemoteEnricher):
    """Files of the NSRL and of distributions, and some that others call malicious."""

    name: ClassVar[str] = "circl_hashlookup"
    title: ClassVar[str] = "CIRCL hashlookup"
    documentation: ClassVar[str] = "https://www.circl.lu/services/hashlookup/"
    base_url: ClassVar[str] = "https://hashlookup.circl.lu"
    types: ClassVar[frozenset[str]] = frozenset(_ALGORITHMS)
    rate: ClassVar[RateLimit] = RateLimit(60, 60)
    concurrency: ClassVar[int] = 2
    max_tlp: ClassVar[Tlp] = "amber"
    lifetime: ClassVar[timedelta] = timedelta(days=14)
    test_query: ClassVar[Query] = Query(Type.MD5, "8ed4b4ed952526d89899e723f3488de4")

    def request(self, query: Query, key: Mapping[str, str]) -> Request:
        """`GET /lookup/{algorithm}/{hash}`."""
        path = f"/lookup/{_ALGORITHMS[query.type]}/{quote_segment(query.value)}"
        return Request(path, headers={"Accept": "application/json"})

    def read(self, query: Query, content: bytes) -> Finding | None:
        """Read what is on record about a file; CIRCL answers 404 about an unknown one.

        A source that calls the file malicious is a claim. A trust above 50 of 100 takes score away.
        """
        file = msgspec.json.decode(content, type=_File)
        if not (file.md5 or file.sha1 or file.sha256):
            raise InvalidAnswer("CIRCL hashlookup answered without a single hash of the file.")
        product = file.product if isinstance(file.product, _Product) else _Product()
        malicious = file.malicious_sources()
        facts = collect_facts(
            file_name=file.file_name,
            file_size=_number(file.file_size),
            package=file.package_name,
            product=product.product_name,
            product_version=product.product_version,
            packages=distinct(parent.package_name for parent in file.parents or ()),
            source=file.source,
            database=file.database,
            known_malicious=distinct(malicious),
            trust=file.trust,
        )
        related = hash_relations(file.md5, file.sha1, file.sha256)
        return Finding(facts, _weights(malicious, file.trust), related)


def _number(size: int | str | None) -> int | None:
    try:
        return None if size is None else int(size)
    except ValueError:
        return None


def _weights(malicious: list[str], trust: int | None) -> tuple[Weight, ...]:
    if malicious:
        return (Weight(0.7, f"a known malicious file according to {', '.join(malicious[:5])}."),)
    if trust is None or trust <= _NEUTRAL_TRUST:
        return ()
    part = (min(trust, 100) - _NEUTRAL_TRUST) / _NEUTRAL_TRUST
    return (Weight(-0.3 - 0.5 * part, f"a file of known software, trust {trust} of 100."),)

"""The registrable part of a name, by the public suffix list."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.hosts import host_of
from services.observables.scoring.claims import Effect
from shared.stix.addresses import is_ipv4
from shared.stix.domains import DomainParts, split_domain
from shared.stix.vocabulary import ObservableType as Type

NAMED: Final[frozenset[str]] = frozenset({Type.DOMAIN, Type.URL, Type.EMAIL})
"""Types whose values are names, or may contain one."""


class _Latest(NamedTuple):
    """The result for the latest values: several enrichers split the same ones in succession."""

    values: Sequence[str]
    type: str
    splits: list[DomainParts | None]


_latest = _Latest((), "", [])


def split_many(type_: str, values: Sequence[str]) -> list[DomainParts | None]:
    """The parts of the names in values of a `NAMED` type; None for hosts that are addresses."""
    global _latest  # noqa: PLW0603  # replaced as a whole, so that threads see one or the other
    latest = _latest
    if latest.values is values and latest.type == type_:
        return latest.splits
    names = values if type_ == Type.DOMAIN else [name_of(type_, value) for value in values]
    splits = [split_domain(name) if name else None for name in names]
    if isinstance(values, tuple):  # a list may have other values by the next time
        _latest = _Latest(values, type_, splits)
    return splits


def name_of(type_: str, value: str) -> str:
    """The domain name in a value of a `NAMED` type; empty when there is none."""
    if type_ == Type.DOMAIN:
        return value
    if type_ == Type.EMAIL:
        return value.rpartition("@")[2]
    host = host_of(value)
    if host[:1] == "[" or (host[-1:].isdigit() and is_ipv4(host)):
        return ""
    # A URL keeps the dot of the root, capitals where the scheme is unusual, and asterisks.
    return host.lower().removesuffix(".").lstrip("*.")


class DomainNameEnricher:
    """Facts such as `{"registrable": "example.co.uk", "suffix": "co.uk"}`.

    A company's suffix adds `"private": true`.
    """

    name = "domain_name"
    types = NAMED
    weighs = False

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """The parts of each name; None for hosts that are addresses."""
        if type_ not in NAMED:
            return [None] * len(values)
        return [_facts(parts) if parts else None for parts in split_many(type_, values)]

    def effects(self, facts: Facts) -> Sequence[Effect]:  # noqa: ARG002  # the protocol's
        """None: the parts of a name make it neither good nor bad."""
        return ()


def _facts(parts: DomainParts) -> Facts:
    registrable, suffix, private = parts
    facts: dict[str, str | bool] = {}
    if registrable is not None:
        facts["registrable"] = registrable
    facts["suffix"] = suffix
    if private:
        facts["private"] = True
    return facts

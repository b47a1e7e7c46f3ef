"""What of a name can be registered: the public suffix list."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.enrichers.network import host_of
from services.observables.scoring.score import Effect
from shared.stix.addresses import is_ipv4
from shared.stix.domains import DomainParts, split_domain
from shared.stix.vocabulary import ObservableType as Type

NAMED: Final[frozenset[str]] = frozenset({Type.DOMAIN, Type.URL, Type.EMAIL})
"""Types whose values are names, or may contain one."""


class _Latest(NamedTuple):
    """Names that were just taken apart: several enrichers ask about the same ones, one after the other."""

    values: Sequence[str]
    type: str
    splits: list[DomainParts | None]


_latest = _Latest((), "", [])


def splits(type_: str, values: Sequence[str]) -> list[DomainParts | None]:
    """The names in values of one of the types in `NAMED` taken apart; None for hosts that are addresses."""
    global _latest  # noqa: PLW0603  # replaced as a whole, so that threads see one or the other
    latest = _latest
    if latest.values is values and latest.type == type_:
        return latest.splits
    names = values if type_ == Type.DOMAIN else [name_of(type_, value) for value in values]
    found = [split_domain(name) if name else None for name in names]
    if isinstance(values, tuple):  # a list may be another one by the next time
        _latest = _Latest(values, type_, found)
    return found


def name_of(type_: str, value: str) -> str:
    """The domain name in a value of one of the types in `NAMED`; empty when there is none."""
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
    """Facts such as `{"registrable": "example.co.uk", "suffix": "co.uk"}`, and `"private": true` for companies'."""

    name = "domain_name"
    types = NAMED
    weighs = False

    def enrich(self, type_: str, values: Sequence[str]) -> Sequence[Facts | None]:
        """How each name is made up; nothing for hosts that are addresses."""
        if type_ not in NAMED:
            return [None] * len(values)
        return [_facts(found) if found else None for found in splits(type_, values)]

    def effects(self, facts: Facts) -> Sequence[Effect]:  # noqa: ARG002  # the protocol's
        """None: a name is neither good nor bad for how it is made up."""
        return ()


def _facts(found: DomainParts) -> Facts:
    registrable, suffix, private = found
    facts: dict[str, str | bool] = {"suffix": suffix} if registrable is None else {
        "registrable": registrable, "suffix": suffix,
    }  # fmt: skip
    if private:
        facts["private"] = True
    return facts

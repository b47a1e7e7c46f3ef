"""The registrable part of a name, by the public suffix list."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import ada_url

from services.observables.reference.enrichers.base import Facts
from services.observables.reference.hosts import host_of
from services.observables.scoring.score import Effect
from shared.stix.addresses import is_ipv4
from shared.stix.vocabulary import ObservableType as Type

NAMED: Final[frozenset[str]] = frozenset({Type.DOMAIN, Type.URL, Type.EMAIL})
"""Types whose values are names, or may contain one."""

_PRIVATE: Final = "===BEGIN PRIVATE DOMAINS==="


class Rules(NamedTuple):
    """Rules without their marks, each with whether it is private."""

    plain: dict[str, bool]
    wildcards: dict[str, bool]
    exceptions: dict[str, bool]


def read_rules(text: str) -> Rules:
    """The public suffix list as publicsuffix.org writes it."""
    rules = Rules({}, {}, {})
    private = False
    for line in text.splitlines():
        private = private or _PRIVATE in line
        rule = line.partition("//")[0].strip()
        if not rule:
            continue
        kind = rules.plain
        if rule[:2] == "*.":
            kind = rules.wildcards
        elif rule[0] == "!":
            kind = rules.exceptions
        name = rule.removeprefix("*.").removeprefix("!")
        if not name.isascii():
            name = ada_url.idna.encode(name).decode("ascii")
        kind[name] = private
    return rules


def _snapshot() -> str:
    # As in shared.stix.names: importing the package would bring `requests` into the process.
    spec = find_spec("tldextract")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("tldextract, whose public suffix list is used, is not installed")
    return Path(spec.submodule_search_locations[0], ".tld_set_snapshot").read_text(encoding="utf-8")


_RULES: Final = read_rules(_snapshot())


class Split(NamedTuple):
    """A name and its parts.

    Attributes:
        registrable: the suffix and the one label before it; None for a name that is a suffix.
        suffix: the part under which anyone may register names.
        private: whether the suffix is a company's, such as `github.io`, and not a registry's.
    """

    registrable: str | None
    suffix: str
    private: bool


def split(name: str, rules: Rules = _RULES) -> Split:
    """The parts of a canonical name; where no rule matches, the last label is the suffix."""
    plain, wildcards, exceptions = rules
    below = None
    candidate = name
    # From the whole name to its last label, so the first rule that matches is the longest.
    while True:
        if candidate in plain:
            return Split(below, candidate, plain[candidate])
        above = candidate.partition(".")[2]
        if above in wildcards:
            if candidate in exceptions:
                return Split(candidate, above, exceptions[candidate])
            return Split(below, candidate, wildcards[above])
        if not above:
            return Split(below, candidate, False)
        below = candidate
        candidate = above


class _Latest(NamedTuple):
    """The result for the latest values: several enrichers split the same ones in succession."""

    values: Sequence[str]
    type: str
    splits: list[Split | None]


_latest = _Latest((), "", [])


def split_many(type_: str, values: Sequence[str]) -> list[Split | None]:
    """The parts of the names in values of a `NAMED` type; None for hosts that are addresses."""
    global _latest  # noqa: PLW0603  # replaced as a whole, so that threads see one or the other
    latest = _latest
    if latest.values is values and latest.type == type_:
        return latest.splits
    names = values if type_ == Type.DOMAIN else [name_of(type_, value) for value in values]
    splits = [split(name) if name else None for name in names]
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


def _facts(parts: Split) -> Facts:
    registrable, suffix, private = parts
    facts: dict[str, str | bool] = {}
    if registrable is not None:
        facts["registrable"] = registrable
    facts["suffix"] = suffix
    if private:
        facts["private"] = True
    return facts

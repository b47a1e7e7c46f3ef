"""What of a name can be registered: the public suffix list."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

import ada_url

from services.observables.enrichers.base import Effect, Facts
from services.observables.enrichers.network import host_of
from shared.stix.addresses import is_ipv4
from shared.stix.vocabulary import ObservableType as Type

NAMED: Final[frozenset[str]] = frozenset({Type.DOMAIN, Type.URL, Type.EMAIL})
"""Types whose values are names, or may contain one."""

_PRIVATE: Final = "===BEGIN PRIVATE DOMAINS==="


class Rules(NamedTuple):
    """Rules without their marks, each with whether it is private; and how many labels the longest has."""

    plain: dict[str, bool]
    wildcards: dict[str, bool]
    exceptions: dict[str, bool]
    depth: int


def read_rules(text: str) -> Rules:
    """The public suffix list as publicsuffix.org writes it."""
    plain, wildcards, exceptions = dict[str, bool](), dict[str, bool](), dict[str, bool]()
    private, depth = False, 1
    for line in text.splitlines():
        private = private or _PRIVATE in line
        rule = line.partition("//")[0].strip()
        if not rule:
            continue
        kind = wildcards if rule[:2] == "*." else exceptions if rule[0] == "!" else plain
        name = rule.removeprefix("*.").removeprefix("!")
        kind[name if name.isascii() else ada_url.idna.encode(name).decode("ascii")] = private
        depth = max(depth, rule.count(".") + 1)
    return Rules(plain, wildcards, exceptions, depth)


def _snapshot() -> str:
    # As in shared.stix.names: the package is not imported, for it would bring `requests` into the process.
    spec = find_spec("tldextract")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("tldextract, whose public suffix list is used, is not installed")
    return Path(spec.submodule_search_locations[0], ".tld_set_snapshot").read_text(encoding="utf-8")


_RULES: Final = read_rules(_snapshot())


class Split(NamedTuple):
    """A name taken apart.

    Attributes:
        registrable: the suffix and the one label before it; None for a name that is itself a suffix.
        suffix: under which anyone may register names.
        private: whether the suffix is a company's, such as `github.io`, and not a registry's.
    """

    registrable: str | None
    suffix: str
    private: bool


def split(name: str, rules: Rules = _RULES) -> Split:
    """A canonical name taken apart; where no rule matches, the last label is the suffix."""
    plain, wildcards, exceptions, depth = rules
    labels = name.split(".")
    candidate = name
    # From the longest piece that can be a rule to the last label: the first that matches is the longest.
    for at in range(max(0, len(labels) - depth), len(labels)):
        candidate = ".".join(labels[at:])
        if candidate in plain:
            return Split(".".join(labels[at - 1 :]) if at else None, candidate, plain[candidate])
        above = candidate.partition(".")[2]
        if above in wildcards:
            if candidate in exceptions:
                return Split(candidate, above, exceptions[candidate])
            return Split(".".join(labels[at - 1 :]) if at else None, candidate, wildcards[above])
    return Split(".".join(labels[-2:]) if len(labels) > 1 else None, candidate, False)


def registrable_domain(name: str) -> str | None:
    """The domain somebody registered, such as `example.co.uk` for `www.example.co.uk`; None for a public suffix."""
    return split(name).registrable


def parents(name: str) -> list[str]:
    """The domains above a name down to the registrable one, nearest first; none above a registrable domain."""
    top = split(name).registrable
    above = list[str]()
    while top and name != top:
        name = name.partition(".")[2]
        above.append(name)
    return above


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
        names = values if type_ == Type.DOMAIN else [name_of(type_, value) for value in values]
        return [_facts(name) if name else None for name in names]

    def effects(self, facts: Facts) -> Sequence[Effect]:  # noqa: ARG002  # the protocol's
        """None: a name is neither good nor bad for how it is made up."""
        return ()


def _facts(name: str) -> Facts:
    registrable, suffix, private = split(name)
    facts: dict[str, str | bool] = {"suffix": suffix} if registrable is None else {
        "registrable": registrable, "suffix": suffix,
    }  # fmt: skip
    if private:
        facts["private"] = True
    return facts

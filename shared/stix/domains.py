"""Registrable domains by the public suffix list (https://publicsuffix.org/list/).

Importing this module reads the list that comes with tldextract: some 10,000 rules, about 15 ms
and 1.5 MiB. It is therefore not part of `shared.stix`; import it where domains are split.
"""

from typing import Final, NamedTuple

import ada_url

from shared.stix.names import read_public_suffix_list

_PRIVATE_SECTION: Final = "===BEGIN PRIVATE DOMAINS==="


class SuffixRules(NamedTuple):
    """Rules without their marks; the value says whether a rule is private."""

    plain: dict[str, bool]
    wildcards: dict[str, bool]
    exceptions: dict[str, bool]


def parse_suffix_rules(text: str) -> SuffixRules:
    """Parse the public suffix list as publicsuffix.org writes it."""
    rules = SuffixRules({}, {}, {})
    private = False
    for line in text.splitlines():
        private = private or _PRIVATE_SECTION in line
        rule = line.partition("//")[0].strip()
        if not rule:
            continue
        if rule.startswith("*."):
            kind = rules.wildcards
        elif rule.startswith("!"):
            kind = rules.exceptions
        else:
            kind = rules.plain
        name = rule.removeprefix("*.").removeprefix("!")
        kind[name if name.isascii() else ada_url.idna.encode(name).decode("ascii")] = private
    return rules


_RULES: Final = parse_suffix_rules(read_public_suffix_list())


class DomainParts(NamedTuple):
    """A domain name, split at its public suffix.

    Attributes:
        registrable: the suffix and the label before it; None for a name that is itself a suffix.
        suffix: the public suffix, below which anyone may register names.
        private: whether the suffix belongs to a company (`github.io`) and not to a registry.
    """

    registrable: str | None
    suffix: str
    private: bool


def split_domain(name: str, rules: SuffixRules = _RULES) -> DomainParts:
    """Split a canonical domain name; where no rule matches, the last label is the suffix."""
    plain, wildcards, exceptions = rules
    below = None
    candidate = name
    # From the whole name to its last label: the first rule that matches is the longest.
    while True:
        if candidate in plain:
            return DomainParts(below, candidate, plain[candidate])
        above = candidate.partition(".")[2]
        if above in wildcards:
            if candidate in exceptions:
                return DomainParts(candidate, above, exceptions[candidate])
            return DomainParts(below, candidate, wildcards[above])
        if not above:
            return DomainParts(below, candidate, False)
        below = candidate
        candidate = above

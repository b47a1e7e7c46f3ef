"""STIX patterns, as far as they name observables: comparisons with =, IN and ISSUBSET, joined by AND and OR.

Own parser, linear in the pattern: the reference implementation needs 0.6 ms each. What cannot be said as a set of
observables (negation, LIKE, MATCHES, sequences in time) is refused with its place, never half taken.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from services.feeds.formats.fields import TYPES
from shared.stix import ObservableType

MAX_PATTERN = 65_536
"""Characters."""

MAX_DEPTH = 16
"""Nested parentheses."""

_T = ObservableType
_STRING = r"'(?:[^'\\]|\\.)*'"
_PATH = rf"[A-Za-z0-9_-]+:[A-Za-z0-9_-]+(?:\.(?:[A-Za-z0-9_-]+|{_STRING})|\[(?:[0-9]+|\*)\])*"
_TOKEN = re.compile(
    rf"\s*(?:(?P<path>{_PATH})|(?P<string>[thb]?{_STRING})|(?P<sign><=|>=|!=|<>|==|[=<>()\[\],])"
    r"|(?P<number>[+-]?[0-9][0-9.]*)|(?P<word>[A-Za-z]+))",
    re.DOTALL,
)
# Nearly all patterns look like this; what else a path or a string may hold is the parser's business.
_SINGLE = re.compile(r"\[\s*+([a-z0-9-]++:[A-Za-z0-9_.'-]++)\s*+=\s*+'([^'\\]*+)'\s*+\]")
_OPERATORS = {
    "=": "=",
    "==": "=",
    "IN": "IN",
    "ISSUBSET": "ISSUBSET",
    "!=": "",
    "<>": "",
    "<": "",
    ">": "",
    "<=": "",
}
_OPERATORS |= {">=": "", "LIKE": "", "MATCHES": "", "ISSUPERSET": ""}
_TYPES: dict[str, ObservableType | None] = {
    "ipv4-addr:value": _T.IPV4,
    "ipv6-addr:value": _T.IPV6,
    "domain-name:value": _T.DOMAIN,
    "url:value": _T.URL,
    "email-addr:value": _T.EMAIL,
    "email-message:from_ref.value": _T.EMAIL,
    "email-message:sender_ref.value": _T.EMAIL,
    "mac-addr:value": _T.MAC,
    "autonomous-system:number": _T.ASN,
    "file:name": _T.FILE_NAME,
    "mutex:name": _T.MUTEX,
    "windows-registry-key:key": _T.REGISTRY_KEY,
    "network-traffic:dst_ref.value": None,
    "network-traffic:src_ref.value": None,
    "domain-name:resolves_to_refs[*].value": None,
    "x509-certificate:hashes.sha-1": _T.X509_SHA1,
    "x509-certificate:hashes.sha-256": _T.X509_SHA256,
    "vulnerability:name": _T.VULNERABILITY,
}


class PatternProblem(ValueError):
    """A pattern that says no set of observables; `reason` is a stable code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Comparison(NamedTuple):
    """One value a pattern names: its path, its type (None: to be detected), and whether we know the path at all."""

    path: str
    type: ObservableType | None
    known: bool
    value: str


def comparisons(pattern: str) -> list[Comparison]:
    """The values that a pattern names, in their order.

    Of an AND every value is taken, but a file's name only when it stands alone: beside a hash it is a description.

    Raises:
        PatternProblem: too long, too deep, malformed, or more than a set of values.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternProblem(
            "pattern too long", f"{len(pattern)} characters, at most {MAX_PATTERN} are read"
        )
    if single := _SINGLE.fullmatch(pattern):
        path, value = single.groups()
        return [Comparison(path, *_meant(path), value)]
    return _Parser(pattern).parse()


def _comparison(path: str, value: str) -> Comparison:
    return Comparison(path, *_meant(path), value)


@lru_cache(maxsize=1024)
def _meant(path: str) -> tuple[ObservableType | None, bool]:
    """The type of what stands at a path (None: to be detected), and whether we know the path at all."""
    key = path.replace("'", "")
    head, _, name = key.partition("hashes.")
    if head in ("file:", "artifact:") and name:
        kind = TYPES.get(name.lower())
        return kind, kind is not None and kind.startswith("file-")
    key = key.lower()
    return _TYPES.get(key), key in _TYPES


def _unquoted(string: str) -> str:
    return (
        re.sub(r"\\(.)", r"\1", string[1:-1], flags=re.DOTALL) if "\\" in string else string[1:-1]
    )


_Part = Callable[[], list[Comparison]]


class _Parser:
    """Recursive descent over the tokens; each method takes its part of them and returns what it names."""

    def __init__(self, pattern: str) -> None:
        self._tokens = list(_tokens(pattern))
        self._at = 0
        self._depth = 0

    def parse(self) -> list[Comparison]:
        found = self._observations()
        if self._text():
            raise self._malformed("the end")
        return found

    def _joined(self, part: _Part, words: tuple[str, ...]) -> list[Comparison]:
        found = part()
        beside = False
        while (word := self._text().upper()) in words:
            if word == "FOLLOWEDBY":
                raise PatternProblem("unsupported pattern", "FOLLOWEDBY is about an order in time")
            self._next()
            beside |= word == "AND"
            found += part()
        if beside and len({one.type for one in found}) > 1:
            found = [one for one in found if one.type is not _T.FILE_NAME]
        return found

    def _observation(self) -> list[Comparison]:
        if self._text() == "(":
            found = self._nested("(", ")", self._observations)
        else:
            found = self._nested("[", "]", self._comparisons)
        if self._text().upper() in ("WITHIN", "REPEATS", "START"):
            raise PatternProblem(
                "unsupported pattern", f"{self._text()} is about times, not about values"
            )
        return found

    def _observations(self) -> list[Comparison]:
        return self._joined(self._observation, ("AND", "OR", "FOLLOWEDBY"))

    def _comparisons(self) -> list[Comparison]:
        return self._joined(self._one, ("AND", "OR"))

    def _nested(self, opening: str, closing: str, inner: _Part) -> list[Comparison]:
        self._expect(opening)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternProblem(
                "pattern too deep", f"more than {MAX_DEPTH} parentheses within each other"
            )
        found = inner()
        self._expect(closing)
        self._depth -= 1
        return found

    def _one(self) -> list[Comparison]:
        if self._text() == "(":
            return self._nested("(", ")", self._comparisons)
        kind, path, _ = self._next()
        if path.upper() in ("NOT", "EXISTS"):
            raise PatternProblem("unsupported pattern", f"{path.upper()} names no value")
        if kind != "path":
            raise self._malformed("an object path", back=1)
        operator = self._next()[1].upper()
        if not _OPERATORS.get(operator):
            if operator in _OPERATORS or operator == "NOT":
                raise PatternProblem(
                    "unsupported pattern", f"{path} {operator} names no single value"
                )
            raise self._malformed("a comparison", back=1)
        values = self._set() if operator == "IN" else [self._value()]
        return [_comparison(path, value) for value in values]

    def _set(self) -> list[str]:
        self._expect("(")
        values = [self._value()]
        while self._text() == ",":
            self._next()
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> str:
        kind, text, _ = self._next()
        if kind == "string" and text[0] == "'":
            return _unquoted(text)
        if kind == "number":
            return text
        raise self._malformed("a value", back=1)

    def _text(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else ""

    def _next(self) -> tuple[str, str, int]:
        if self._at >= len(self._tokens):
            raise self._malformed("more")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        if self._text() != sign:
            raise self._malformed(repr(sign))
        self._at += 1

    def _malformed(self, expected: str, back: int = 0) -> PatternProblem:
        at = self._at - back
        if at >= len(self._tokens):
            return PatternProblem("malformed pattern", f"it ends where {expected} is expected")
        _, text, place = self._tokens[at]
        return PatternProblem(
            "malformed pattern",
            f"{expected} is expected at character {place + 1}, not {text[:40]!r}",
        )


def _tokens(pattern: str) -> Iterator[tuple[str, str, int]]:
    at, end = 0, len(pattern.rstrip())
    while at < end:
        match = _TOKEN.match(pattern, at)
        if match is None or match.lastgroup is None:
            raise PatternProblem(
                "malformed pattern",
                f"not understood at character {at + 1}: {pattern[at : at + 40]!r}",
            )
        yield match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)
        at = match.end()

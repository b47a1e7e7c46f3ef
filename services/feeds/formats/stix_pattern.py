"""STIX patterns that name observables: comparisons with =, IN and ISSUBSET, joined by AND and OR.

This parser is linear in the pattern; the reference implementation needs 0.6 ms for each. A pattern
that does not stand for a set of observables (negation, LIKE, MATCHES, sequences in time) is refused
with its place, and never read in part.

Source: STIX 2.1 §9, and its grammar, https://github.com/oasis-open/cti-stix2-json-schemas
(pattern_grammar/STIXPattern.g4). AND binds closer than OR, in observations and in comparisons.
"""

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from services.feeds.formats.fields import TYPES_BY_NAME
from shared.stix import ObservableType

MAX_PATTERN = 65_536
"""Characters."""

MAX_DEPTH = 16
"""Nested parentheses."""

_T = ObservableType
_STRING = r"'(?:[^'\\]|\\.)*+'"
_NAME = r"[A-Za-z0-9_-]++"
_STEP = rf"(?:\.(?:{_NAME}|{_STRING})|\[(?:-?[0-9]++|\*)\])"
_PATH = rf"{_NAME}:(?:{_NAME}|{_STRING}){_STEP}*+"
# Each alternative takes as much as it can and gives nothing back, so that the time is linear.
_SKIPPED = re.compile(r"(?:\s++|/\*(?:[^*]|\*(?!/))*+\*/|//[^\r\n]*+)*+")
_TOKEN = re.compile(
    rf"(?P<path>{_PATH})|(?P<string>[thb]?{_STRING})|(?P<sign><=|>=|!=|<>|==|[=<>()\[\],])"
    rf"|(?P<number>[+-]?(?:[0-9]++(?:\.[0-9]++)?|\.[0-9]++)(?![A-Za-z0-9_.-]))|(?P<word>{_NAME})",
    re.DOTALL,
)
# Nearly all patterns look like this. The parser reads whatever else a path or string may hold.
_SINGLE = re.compile(r"\[\s*+([a-z0-9-]++:[A-Za-z0-9_.'-]++)\s*+=\s*+'([^'\\]*+)'\s*+\]")
_VALUE_OPERATORS = frozenset({"=", "==", "IN", "ISSUBSET"})
"""Operators that name values."""
_OTHER_OPERATORS = frozenset(
    {"!=", "<>", "<", ">", "<=", ">=", "LIKE", "MATCHES", "ISSUPERSET", "NOT"}
)
"""Operators of STIX that name no single value."""
_TYPES: dict[str, ObservableType | None] = {
    "ipv4-addr:value": _T.IPV4,
    "ipv6-addr:value": _T.IPV6,
    "domain-name:value": _T.DOMAIN,
    "hostname:value": _T.DOMAIN,  # as OpenCTI writes the names of hosts
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
    # Types that STIX lacks, by the names under which this platform writes them.
    **{f"{kind}:value": kind for kind in (_T.FILE_PATH, _T.JA3, _T.JA4, _T.USER_AGENT, _T.WALLET)},
    **{f"x-{kind}:value": kind for kind in (_T.FILE_PATH, _T.JA3, _T.JA4)},
    # Quotes around steps of a path are left out.
    "file:extensions.windows-pebinary-ext.imphash": _T.IMPHASH,
    "network-traffic:extensions.http-request-ext.request_header.user-agent": _T.USER_AGENT,
}


class PatternProblem(ValueError):
    """A pattern that stands for no set of observables; `reason` is a stable code."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Comparison(NamedTuple):
    """A value that a pattern names.

    Attributes:
        path: the object path that is compared with it.
        type: the type of the values of that path; None to detect it.
        is_known: whether values of that path are observables at all.
        value: as written in the pattern; of a binary constant its bytes in hexadecimal.
        is_context: whether it alone does not satisfy the pattern: a file's name beside a hash, an
            address beside a port.
        beside: of a value that counts, the parts of its AND, each once.
    """

    path: str
    type: ObservableType | None
    is_known: bool
    value: str
    is_context: bool = False
    beside: "tuple[Comparison, ...]" = ()


def comparisons(pattern: str) -> list[Comparison]:
    """The values that a pattern names, in their order.

    Of an AND a value counts that all other parts only describe: the hash of a file with a name, a
    URL and the name of its host. All others are context.

    Raises:
        PatternProblem: the pattern is too long, too deep, malformed, or no set of values.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternProblem(
            "pattern too long", f"{len(pattern)} characters, at most {MAX_PATTERN} are read"
        )
    if single := _SINGLE.fullmatch(pattern):
        path, value = single.groups()
        return [Comparison(path, *_type_at(path), value)]
    return _Parser(pattern).parse()


@lru_cache(maxsize=1024)
def _type_at(path: str) -> tuple[ObservableType | None, bool]:
    """The fields `type` and `is_known` of a `Comparison` with a path."""
    key = path.replace("'", "")
    owner, _, hash_name = key.partition("hashes.")
    if owner in ("file:", "artifact:") and hash_name:
        kind = TYPES_BY_NAME.get(hash_name.lower())
        return kind, kind is not None and kind.startswith("file-")
    key = key.lower()
    return _TYPES.get(key), key in _TYPES


def _unquoted(string: str) -> str:
    text = string[1:-1]
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if "\\" in text else text


def _stands_for_all(value: Comparison, parts: Sequence[Comparison], *, is_single: bool) -> bool:
    """Whether what has this value has the others too, as far as a pattern can tell.

    Args:
        value: the value.
        parts: of the conjunction, the value among them.
        is_single: whether all of them are about one observation.
    """
    return all(_is_implied(part, value, is_single=is_single) for part in parts)


def _is_implied(part: Comparison, value: Comparison, *, is_single: bool) -> bool:
    """Whether another part only describes the object that a value identifies."""
    if part.path == value.path:
        return part.value == value.value
    if part.path in _HOST_PATHS and value.path == "url:value":
        return _host_text(value.value) == part.value.lower() != ""
    if not is_single:
        return False
    if value.path.endswith("_ref.value") and part.path in (f"{value.path[:-5]}type", _STATE):
        return True
    owner = value.path.partition(":")[0]
    return part.path.startswith(f"{owner}:") and _is_identity(value)


def _is_identity(value: Comparison) -> bool:
    """Whether a value makes an object what it is: a hash, a name of hosts, an address."""
    return value.path in _IDENTITIES or ":hashes." in value.path


def _host_text(url: str) -> str:
    """The host in a URL as a pattern writes it, in lower case; empty when there is none."""
    authority = url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2]
    return authority.partition(":")[0].lower()


_STATE = "network-traffic:is_active"
"""Whether traffic goes on: true of any traffic at some time, so that it narrows no address."""
_HOST_PATHS = frozenset({"domain-name:value", "hostname:value", "ipv4-addr:value"})
_IDENTITIES = frozenset(
    {
        *("domain-name:value", "hostname:value", "url:value", "email-addr:value", "mac-addr:value"),
        *("ipv4-addr:value", "ipv6-addr:value", "autonomous-system:number"),
        *("mutex:name", "vulnerability:name"),
    }
)
"""Paths that identify an object; its other properties describe it."""


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


_Rule = Callable[[], list[Comparison]]


class _Parser:
    """Recursive descent over the tokens. Each rule consumes its tokens and returns the values."""

    def __init__(self, pattern: str) -> None:
        self._tokens = list(_tokens(pattern))
        self._at = 0
        self._depth = 0

    def parse(self) -> list[Comparison]:
        values = self._observations()
        if self._text():
            raise self._malformed("the end")
        return values

    def _observations(self) -> list[Comparison]:
        values = self._alternatives(self._observation)
        if self._keyword() == "FOLLOWEDBY":
            raise PatternProblem("unsupported pattern", "FOLLOWEDBY is about an order in time")
        return values

    def _observation(self) -> list[Comparison]:
        if self._text() == "(":
            values = self._nested("(", ")", self._observations)
        else:
            values = self._nested("[", "]", self._comparisons)
        if self._keyword() in ("WITHIN", "REPEATS", "START"):
            raise PatternProblem(
                "unsupported pattern", f"{self._text()} is about times, not about values"
            )
        return values

    def _comparisons(self) -> list[Comparison]:
        return self._alternatives(self._comparison)

    def _alternatives(self, rule: _Rule) -> list[Comparison]:
        """Parts that OR joins, each of them a conjunction."""
        values = self._conjunction(rule)
        while self._keyword() == "OR":
            self._next()
            values += self._conjunction(rule)
        return values

    def _conjunction(self, rule: _Rule) -> list[Comparison]:
        """Parts that AND joins: a value that does not stand for all of them is context."""
        values = rule()
        if self._keyword() != "AND":
            return values
        while self._keyword() == "AND":
            self._next()
            values += rule()
        is_single = rule != self._observation
        parts = tuple(dict.fromkeys(value._replace(beside=()) for value in values))
        return [
            value._replace(beside=parts)
            if _stands_for_all(value, values, is_single=is_single)
            else value._replace(is_context=True, beside=())
            for value in values
        ]

    def _nested(self, opening: str, closing: str, rule: _Rule) -> list[Comparison]:
        self._expect(opening)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PatternProblem(
                "pattern too deep", f"more than {MAX_DEPTH} parentheses within each other"
            )
        values = rule()
        self._expect(closing)
        self._depth -= 1
        return values

    def _comparison(self) -> list[Comparison]:
        if self._text() == "(":
            return self._nested("(", ")", self._comparisons)
        if (word := self._keyword()) in ("NOT", "EXISTS"):
            raise PatternProblem("unsupported pattern", f"{word} names no value")
        path = self._next()
        if path.kind != "path":
            raise self._malformed("an object path", back=1)
        operator = self._next().text.upper()
        if operator in _OTHER_OPERATORS:
            raise PatternProblem(
                "unsupported pattern", f"{path.text} {operator} names no single value"
            )
        if operator not in _VALUE_OPERATORS:
            raise self._malformed("a comparison", back=1)
        constants = self._set() if operator == "IN" else [self._value()]
        type_, is_known = _type_at(path.text)
        return [
            Comparison(path.text, type_, is_known and constant.is_text, constant.text)
            for constant in constants
        ]

    def _set(self) -> "list[_Constant]":
        self._expect("(")
        if self._text() == ")":
            raise PatternProblem("unsupported pattern", "an empty set names no value")
        values = [self._value()]
        while self._text() == ",":
            self._next()
            values.append(self._value())
        self._expect(")")
        return values

    def _value(self) -> "_Constant":
        token = self._next()
        constant = _constant(token)
        if constant is None:
            raise self._malformed("a value", back=1)
        return constant

    def _keyword(self) -> str:
        """The next token in capitals if it is a word, else an empty text."""
        if self._at < len(self._tokens) and self._tokens[self._at].kind == "word":
            return self._tokens[self._at].text.upper()
        return ""

    def _text(self) -> str:
        """The text of the next token, empty at the end."""
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _next(self) -> _Token:
        if self._at >= len(self._tokens):
            raise self._malformed("more")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, sign: str) -> None:
        if self._text() != sign:
            raise self._malformed(repr(sign))
        self._at += 1

    def _malformed(self, expected: str, back: int = 0) -> PatternProblem:
        """The problem at the next token, or at the one `back` tokens before it."""
        at = self._at - back
        if at >= len(self._tokens):
            return PatternProblem("malformed pattern", f"it ends where {expected} is expected")
        token = self._tokens[at]
        return PatternProblem(
            "malformed pattern",
            f"{expected} is expected at character {token.at + 1}, not {token.text[:40]!r}",
        )


class _Constant(NamedTuple):
    """A constant of a pattern.

    Attributes:
        text: of a binary constant its bytes in hexadecimal.
        is_text: whether it can be an observable: booleans and times are none.
    """

    text: str
    is_text: bool


def _constant(token: _Token) -> _Constant | None:
    """The constant that a token is; None if it is none, or malformed (STIX 2.1 §9.2)."""
    if token.kind == "number":
        return _Constant(token.text, is_text=True)
    if token.kind == "word":
        word = token.text.lower()
        return _Constant(word, is_text=False) if word in ("true", "false") else None
    return _CONSTANTS[token.text[0]](token.text) if token.kind == "string" else None


def _hexadecimal(literal: str) -> _Constant | None:
    digits = literal[2:-1]
    return _Constant(digits.lower(), is_text=True) if _HEX.fullmatch(digits) else None


def _binary(literal: str) -> _Constant | None:
    try:
        return _Constant(base64.b64decode(literal[2:-1], validate=True).hex(), is_text=True)
    except binascii.Error:
        return None


_HEX = re.compile("(?:[0-9a-fA-F]{2})*+")
_CONSTANTS: dict[str, Callable[[str], _Constant | None]] = {
    "'": lambda literal: _Constant(_unquoted(literal), is_text=True),
    "t": lambda literal: _Constant(_unquoted(literal[1:]), is_text=False),
    "h": _hexadecimal,
    "b": _binary,
}


def _tokens(pattern: str) -> Iterator[_Token]:
    at = _end_of_space(pattern, 0)
    while at < len(pattern):
        match = _TOKEN.match(pattern, at)
        if match is None or match.lastgroup is None:
            raise PatternProblem(
                "malformed pattern",
                f"not understood at character {at + 1}: {pattern[at : at + 40]!r}",
            )
        yield _Token(match.lastgroup, match[0], at)
        at = _end_of_space(pattern, match.end())


def _end_of_space(pattern: str, at: int) -> int:
    """The place behind white space and comments."""
    space = _SKIPPED.match(pattern, at)
    return space.end() if space else at

"""What the header of a column says of its cells: observables, of which type, or what describes."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from services.feeds.formats.header_languages import english_header
from services.feeds.formats.table_layout import column_key
from services.feeds.formats.type_words import (
    ADDRESSES,
    SHAPELESS,
    Declared,
    as_types,
    declared_type,
    type_key,
)
from shared.stix import ObservableType

# fmt: off
_VALUE_NAMES: Final = frozenset({
    "value", "ioc", "ioc_value", "indicator", "indicator_value", "observable", "c2", "host", "text",
    "ip", "ip_address", "ipaddress", "address", "network", "cidr", "hash", "cveid",
})
_GENERAL_NAMES: Final = frozenset({
    "value", "ioc", "ioc_value", "indicator", "indicator_value", "observable", "text",
})
"""Names of columns whose values are of many types."""

_CONTEXT_WORDS: Final = frozenset({
    "link", "ref", "refs", "reference", "references", "source", "report", "reporter", "permalink",
    "screenshot", "info", "website", "homepage", "contact", "abuse", "email", "mail", "sensor",
    "honeypot", "victim", "author", "owner", "submitter", "registrar", "nameserver", "ns", "mx",
    "rdns", "ptr", "reverse", "country", "asn", "as", "isp", "org", "whois", "description",
    "comment", "note", "notes", "details", "provider", "reported", "detected", "urlhaus",
    "meta", "brand", "signer", "issuer", "subject", "product", "vendor", "publisher", "license",
    "referer", "referrer", "logo", "icon", "image", "thumbnail", "documentation", "docs", "support",
    "our", "own", "internal", "gateway", "resolver", "recipient", "reporting", "collector",
    "impersonated", "spoofed", "legitimate", "authentihash", "pehash", "vhash", "telfhash", "dhash",
})
"""Words in the headers of columns that hold addresses and are seldom the observable."""
_NO_VALUES: Final = frozenset({
    "id", "ids", "guid", "uuid", "version", "versions", "ver", "build", "firmware", "release",
    "oid", "serial", "title", "etag", "token", "session", "status", "count", "score",
})
"""Last words in the headers of columns whose cells only look like observables."""
_ATTACKERS: Final = frozenset({"attacker", "malicious", "c2", "ioc"})
_HARMLESS: Final = frozenset({
    "safe", "clean", "trusted", "exceptions", "exempt", "goodware", "harmless", "ignore", "ignored",
    "negatives", "falsepositive", "falsepositives", "fp", "good", "whitelist", "allowlist",
})
_META: Final = frozenset({
    "source", "sources", "feed", "feeds", "license", "licenses", "publisher", "provider", "meta",
    "metadata", "info", "link", "links", "reference", "references", "ref", "refs", "tag", "tags",
    "label", "labels", "author", "authors", "contact", "contacts", "pagination", "paging",
    "nameserver", "nameservers", "category", "categories", "alias", "aliases", "documentation",
    "docs", "help", "copyright", "attribution", "credits",
})
"""Words in the names of JSON properties whose values are about the document or its entries."""
# fmt: on
_HARMLESS_BEGINNINGS: Final = ("allow", "white", "benign", "exclu", "legit", "permit")
_HUMP: Final = re.compile("(?<=[a-z0-9])(?=[A-Z])")
_END: Final = (
    "(?:src|source|dst|dest|destination|client|server|local|remote|peer|orig|originator|resp"
    "|responder)"
)
_DIRECTION: Final = re.compile(
    rf"{_END}(?:ip|ipv4|ipv6|addr|address|ipaddr|ipaddress|host|h)?"
    rf"|(?:ip|addr|address){_END}|[sd]addr"
)
"""The names of ends of a connection, as letters alone."""
_CERTIFICATES: Final = frozenset({"cert", "certificate", "certificates", "x509"})
_OF_CERTIFICATES: Final = {
    ObservableType.SHA1: ObservableType.X509_SHA1,
    ObservableType.SHA256: ObservableType.X509_SHA256,
}
_GENERAL_KEYS: Final = frozenset({"hash", "md5", "value", "fingerprint", "digest"})
"""Last names of paths that leave it to the name before them of what they are."""


class Header(NamedTuple):
    """What a header says.

    Attributes:
        name: the header.
        declared: the type or types that it names, if it names some.
        rank: 2 if its name is one of values, 1 if a word of it is, else 0.
        is_context: whether its words say that its cells probably describe the row.
        is_excluded: whether its words say that its cells are no values, whatever they look like.
        is_general: whether its values are of many types.
        is_direction: whether it names an end of a connection: `src_ip`, `Destination`.
    """

    name: str
    declared: Declared | None
    rank: int
    is_context: bool
    is_excluded: bool
    is_general: bool
    is_direction: bool = False


def header_key(name: str) -> str:
    """The name of a column in English, in the form in which names are compared."""
    return column_key(english_header(name))


@lru_cache(4096)
def read_header(name: str) -> Header:
    """What the header `name` says; the name of a JSON property may be a path (`ioc.value`)."""
    return _read_header(name, english_header(name))


def _read_header(label: str, name: str) -> Header:
    path = [part.strip('"') for part in name.split(".")] if "." in name else [name]
    key = column_key(path[-1])
    # A name such as `_source` is that of a storage, and no word about its content.
    parents = header_words(".".join(part for part in path[:-1] if not part.startswith("_")))
    last_words = header_words(path[-1])
    declared = declared_by_path(path)
    rank = 2 if declared is not None or key in _VALUE_NAMES else 0
    if not rank and len(last_words) > 1:
        # `src_ip`, `ip_src`: the word at the end or at the beginning names a type.
        declared = declared_type(last_words[-1]) or declared_type(last_words[0])
        rank = int(declared is not None)
    is_attacker = not _ATTACKERS.isdisjoint(last_words)
    rank = 2 if is_attacker else rank
    # `source_ip` is where something came from, and no publication.
    no_context = {"source"} if declared == ADDRESSES else set()
    context = _CONTEXT_WORDS.intersection(last_words) - no_context
    is_described = bool(_CONTEXT_WORDS.intersection(parents) - no_context)
    return Header(
        label,
        declared,
        rank,
        is_context=bool(context) and not is_attacker,
        is_excluded=is_described
        or is_harmless([*parents, *last_words])
        or not _NO_VALUES.isdisjoint(last_words[-1:]),
        is_general=key in _GENERAL_NAMES,
        is_direction=_DIRECTION.fullmatch(type_key(path[-1])) is not None,
    )


def declared_by_path(path: Sequence[str]) -> Declared | None:
    """The type that a path declares by its last names: `ja3.hash` is no MD5."""
    declared = declared_type(path[-1])
    if len(path) == 1:
        return declared
    if type_key(path[-1]) in _GENERAL_KEYS:
        parent = declared_type(path[-2])
        if parent is not None and as_types(parent) <= SHAPELESS:
            return parent
    parents = header_words(".".join(path[:-1]))
    if isinstance(declared, ObservableType) and not _CERTIFICATES.isdisjoint(parents):
        return _OF_CERTIFICATES.get(declared, declared)
    return declared


def header_words(name: str) -> list[str]:
    """The words of a name, in lower case: `attackSourceIP` and `attack_source_ip` have the same."""
    return [word for word in re.split(r"[\W_]+", _HUMP.sub("_", name).lower()) if word]


def is_harmless(words: list[str]) -> bool:
    """Whether the words of a name say that the values are known to be harmless."""
    return any(word in _HARMLESS or word.startswith(_HARMLESS_BEGINNINGS) for word in words) or (
        "false" in words and not {"positive", "positives"}.isdisjoint(words)
    )


def is_meta_name(name: str) -> bool:
    """Whether the name of a JSON property says that its value is about the document itself."""
    return name[:1] != "_" and not _META.isdisjoint(header_words(name))


def is_value_name(name: str) -> bool:
    """Whether a header is a usual name of a column with observables."""
    header = read_header(name)
    return header.rank == 2

"""The words by which sources name the types of observables, in headers and in columns of types."""

import re
from collections.abc import Mapping
from typing import Final

from services.feeds.formats.base import excerpt, typed_value
from services.feeds.formats.fields import TYPES_BY_NAME
from services.feeds.formats.table_layout import is_placeholder
from shared.stix import NotAnObservable, ObservableType

_T = ObservableType
Declared = ObservableType | frozenset[ObservableType]
"""A declared type, or the types that a word such as `ip` or `hash` leaves to choose from."""

ADDRESSES: Final = frozenset({_T.IPV4, _T.IPV6})
HASHES: Final = frozenset({_T.MD5, _T.SHA1, _T.SHA256, _T.SHA512})
_HOSTS: Final = ADDRESSES | {_T.DOMAIN}
_LOCATIONS: Final = _HOSTS | {_T.URL}
SHAPELESS: Final = frozenset(
    {_T.IMPHASH, _T.JA3, _T.X509_SHA1, _T.X509_SHA256, _T.FILE_NAME, _T.MUTEX, _T.USER_AGENT}
)
"""Types whose values look like those of other types, so that only a word tells them."""

TEXTS: Final = frozenset({_T.FILE_NAME, _T.MUTEX, _T.USER_AGENT})
"""Types whose values may be any text."""

# fmt: off
_FAMILIES: Final[dict[str, frozenset[ObservableType]]] = {
    **dict.fromkeys((
        "ip", "ips", "ipaddr", "ipaddress", "addr", "address", "network", "netblock", "net",
        "subnet", "cidr", "prefix", "iprange", "ipdst", "ipsrc", "dstip", "srcip",
    ), ADDRESSES),
    **dict.fromkeys(("hash", "hashes", "filehash", "file"), HASHES),
    **dict.fromkeys(("host", "hosts"), _HOSTS),
}
_NAMES: Final = {
    **{re.sub(r"[\W_]+", "", name): kind for name, kind in TYPES_BY_NAME.items()},
    **dict.fromkeys(("domains",), _T.DOMAIN),
    **dict.fromkeys(("urls", "uris"), _T.URL),
    **dict.fromkeys(("x509fingerprintsha1", "certhash", "certificatesha1"), _T.X509_SHA1),
    **dict.fromkeys(("x509fingerprintsha256", "certificatesha256"), _T.X509_SHA256),
    **dict.fromkeys(("ja3s", "ja3fingerprintmd5"), _T.JA3),
    **dict.fromkeys(("macaddr", "hwaddr"), _T.MAC),
    **dict.fromkeys(("emailaddr", "emails"), _T.EMAIL),
    **dict.fromkeys(("windowsregistrykey", "registry"), _T.REGISTRY_KEY),
    **dict.fromkeys(("filenames",), _T.FILE_NAME),
}
_OTHER_TYPES: Final = frozenset({
    "process", "processname", "service", "servicename", "yara", "sigma", "snort", "suricata", "pdb",
    "attachment", "text", "comment", "other", "port", "cpe", "software", "username", "password",
    "certificate", "namedpipe", "pipe", "commandline", "cmdline", "scheduledtask", "subject",
    "emailsubject", "pattern", "account", "artifact", "bytes", "script", "pubkeyhash", "serial",
})
"""Words for types that are no observables here."""
# fmt: on
_BEGINNINGS: Final = re.compile("^(?:intel|filehash|file|hashes|hash|ioc|indicator|observable)")
_ENDS: Final = re.compile("(?:hash|value|port)$")


def type_key(word: str) -> str:
    """A word in the form in which words are compared: its letters and digits."""
    return re.sub(r"[\W_]+", "", word.lower())


def declared_type(
    word: str, names: Mapping[str, ObservableType] = TYPES_BY_NAME
) -> Declared | None:
    """The type that a word names, or the types that it leaves to choose from; None if it is none.

    Args:
        word: as a source writes it: `SHA-256`, `Intel::FILE_NAME`, `ip:port`, `FileHash-MD5`.
        names: words in lower case with their types, which come first.
    """
    if kind := names.get(word.strip().lower()):
        return kind
    key = type_key(word)
    bare = _BEGINNINGS.sub("", key)
    for candidate in (key, bare, _ENDS.sub("", key), _ENDS.sub("", bare)):
        if candidate and (types := _NAMES.get(candidate) or _FAMILIES.get(candidate)):
            return types
    return None


def is_type_word(word: str, names: Mapping[str, ObservableType] = TYPES_BY_NAME) -> bool:
    """Whether a word names a type, also one that is no observable here."""
    return declared_type(word, names) is not None or type_key(word) in _OTHER_TYPES


def as_types(declared: Declared) -> frozenset[ObservableType]:
    """The types that a declaration leaves."""
    return declared if isinstance(declared, frozenset) else frozenset({declared})


def fitting_types(declared: Declared) -> frozenset[ObservableType]:
    """The types that cells under a declaring header may have by their shape.

    An address under `domain` is an address, and a SHA-1 under `md5` is a SHA-1; but what looks like
    a domain name under `file name` is none.
    """
    kinds = as_types(declared)
    for family in (_LOCATIONS, HASHES):
        if kinds <= family:
            return family
    return kinds


def value_of(declared: Declared | None, raw: str) -> tuple[str, str]:
    """Type and canonical value of `raw`, as `typed_value`; it is of a declared type or none.

    Raises:
        NotAnObservable: `raw` is no observable of that type.
    """
    if not isinstance(declared, frozenset):
        return typed_value(declared, raw)
    kind, value = typed_value(None, raw)
    if kind not in declared:
        names = ", ".join(sorted(declared))
        raise NotAnObservable("not of the declared type", f"{excerpt(raw)} is none of {names}")
    return kind, value


class TypeWords:
    """The types that words in a column or property of types declare.

    Args:
        names: words in lower case with their types; the usual ones are known besides.
        otherwise: the type for a word that names none; None to refuse its value.
    """

    def __init__(self, names: Mapping[str, ObservableType], otherwise: Declared | None) -> None:
        self._names = names
        self._otherwise = otherwise
        self._known: dict[str, Declared | None] = {}

    def type_of(self, word: str) -> Declared | None:
        """The declared type; None where there is no word, so that the value tells it.

        Raises:
            NotAnObservable: the word names no type.
        """
        try:
            return self._known[word]
        except KeyError:
            pass
        text = word.strip()
        kind = self._otherwise
        if text and not is_placeholder(text):
            kind = declared_type(text, self._names) or kind
            if kind is None:
                detail = f"{excerpt(text)}; the option `types` says what it stands for"
                raise NotAnObservable("unsupported type", detail)
        if len(self._known) < _MAX_WORDS:
            self._known[word] = kind
        return kind


_MAX_WORDS: Final = 1000

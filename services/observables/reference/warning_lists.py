"""MISP's warning lists: well-known and mostly harmless values, packed into one blob.

Texts and host names become hashes (`text_index`), networks nested ranges (`nested_networks`),
substrings are found by their rarest piece (`substring_index`). `warning_list_index` searches them
in microseconds.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, Final, Literal, NamedTuple

import ada_url
import msgspec
import numpy as np

from services.observables.reference import packed_arrays
from services.observables.reference.expression_index import re2_source
from services.observables.reference.nested_networks import NetworkEntry, pack_networks
from services.observables.reference.packed_arrays import Array
from services.observables.reference.text_index import hash_texts, pack_texts
from shared.errors import InvalidInput
from shared.stix.vocabulary import ObservableType as Type

_ADDRESSES: Final = (Type.IPV4, Type.IPV6)
# Attributes of MISP, and the types of observables they are. Pairs such as `domain|ip` are left
# out, as no observable is a pair. The one list that concerns such a pair and not its parts
# (substrings of disposable mail hosts) would hit `this.after.example` by its `is.af`.
_TYPES_OF_ATTRIBUTE: Final[dict[str, tuple[Type, ...]]] = {
    **dict.fromkeys(("ip-src", "ip-dst", "ip-src|port", "ip-dst|port"), _ADDRESSES),
    **dict.fromkeys(("domain", "hostname", "hostname|port"), (Type.DOMAIN,)),
    **dict.fromkeys(("url", "uri", "link"), (Type.URL,)),
    **dict.fromkeys(
        ("email", "email-src", "email-dst", "email-reply-to", "target-email"), (Type.EMAIL,)
    ),
    **dict.fromkeys(("whois-registrant-email", "dns-soa-email"), (Type.EMAIL,)),
    **{
        name: (Type(f"file-{name}"),)
        for name in ("md5", "sha1", "sha256", "sha512", "ssdeep", "tlsh", "imphash")
    },
    "filename": (Type.FILE_NAME,),
    "x509-fingerprint-sha1": (Type.X509_SHA1,),
    "x509-fingerprint-sha256": (Type.X509_SHA256,),
    "AS": (Type.ASN,),
    "mac-address": (Type.MAC,),
    "vulnerability": (Type.VULNERABILITY,),
    "regkey": (Type.REGISTRY_KEY,),
    "mutex": (Type.MUTEX,),
    "ja3-fingerprint-md5": (Type.JA3,),
    "user-agent": (Type.USER_AGENT,),
    **dict.fromkeys(("btc", "dash", "xmr"), (Type.WALLET,)),
}
# The format has a category, but no list uses it. Lists with these names identify an owner, which
# does not make a value harmless: anyone can rent, register or upload there, or be popular.
_KNOWN: Final = re.compile(
    r"\btop\b|top500|crux|cloud|amazon aws|azure|akamai|fastly|stackpath|cdn|ovh|github ip|vpn"
    r"|zscaler|dynamic dns|dns resolvers|shortener|link in bio|lots|ipfs|disposable|parking"
    r"|sinkhole|blockpage|scan|smtp|external ip|source ip|tlds|phone|private relay|telegram"
    r"|connection-attempt",
    re.IGNORECASE,
)
# Values of these have no owner: it depends on the network they were seen in what they mean.
_SPECIAL: Final = re.compile(r"\brfc ?\d|link local", re.IGNORECASE)

_Kind = Literal["string", "hostname", "substring", "cidr", "regex"]
_Category = Literal["false_positive", "known", "special"]


class ListInfo(NamedTuple):
    """One list: its version is mostly a date (yyyymmdd), its size that of usable entries."""

    name: str
    category: str
    kind: str
    version: str
    size: int
    unusable: int
    types: tuple[str, ...] | None
    """The types of observables it concerns; None for all, when it names none."""


class _File(msgspec.Struct):
    name: str
    version: int | str
    kind: _Kind = msgspec.field(name="type")
    entries: list[Any] = msgspec.field(name="list")
    category: _Category | None = None
    matching_attributes: list[str] | None = None

    def types(self) -> tuple[str, ...] | None:
        if not self.matching_attributes:
            return None
        types: set[str] = set()
        for name in self.matching_attributes:
            types.update(type_.value for type_ in _TYPES_OF_ATTRIBUTE.get(name, ()))
        return tuple(sorted(types))


def bundled() -> Iterator[tuple[str, bytes]]:
    """The lists in the package pymispwarninglists, for `pack`; the package is not imported.

    Raises:
        ImportError: the package is not installed.
    """
    spec = find_spec("pymispwarninglists")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("pymispwarninglists, whose lists are used, is not installed")
    folder = Path(spec.submodule_search_locations[0], "data", "misp-warninglists", "lists")
    for path in sorted(folder.glob("*/list.json")):
        yield f"{path.parent.name}/{path.name}", path.read_bytes()


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Lists as one blob for `warning_list_index.WarningListIndex`.

    Args:
        files: the name and the bytes of each `list.json`; one is read at a time, so a generator
            saves memory.

    Raises:
        InvalidInput: a file is no warning list; the message names it. A single entry that cannot
            be used is left out and counted.
    """
    packing = _Packing()
    for name, data in files:
        try:
            packing.add(msgspec.json.decode(data, type=_File))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{name} is no warning list: {error}", where=name) from error
    return packing.packed()


class _Packing:
    """Lists as they are read; entries refer to their list by its number."""

    def __init__(self) -> None:
        self.lists: list[ListInfo] = []
        self.hashes: list[Array] = []
        self.networks: dict[int, set[NetworkEntry]] = {32: set(), 128: set()}
        self.needles: list[tuple[int, bytes]] = []
        self.expressions: list[tuple[int, str]] = []

    def add(self, file: _File) -> None:
        types = file.types()
        texts = [entry.strip() for entry in file.entries if isinstance(entry, str)]
        size = self._add_entries(file.kind, types, [text for text in texts if text])
        self.lists.append(
            ListInfo(
                file.name,
                file.category or _category(file.name),
                file.kind,
                str(file.version),
                size,
                len(file.entries) - size,
                types,
            )
        )

    def _add_entries(self, kind: _Kind, types: tuple[str, ...] | None, texts: Sequence[str]) -> int:
        """Add the entries of the next list; return how many can be used."""
        number = len(self.lists)
        hashes: Array = np.empty(0, np.uint64)
        match kind:
            case "string" | "hostname":
                # Lists of names put a dot before some; no observable has one there.
                has_names = kind == "hostname" or Type.DOMAIN in (types or ())
                keys = (_normalize_name(text) if has_names else text.lower() for text in texts)
                hashes = hash_texts(key for key in keys if key)
                size = hashes.size
            case "substring":
                self.needles += [(number, text.lower().encode()) for text in texts]
                size = len(texts)
            case "cidr":
                size = sum(self._add_network(number, text) for text in texts)
            case "regex":
                usable = [text for text in texts if re2_source(text) is not None]
                self.expressions += [(number, text) for text in usable]
                size = len(usable)
        self.hashes.append(hashes)
        return size

    def _add_network(self, number: int, text: str) -> bool:
        address, _, length = text.partition("/")
        try:
            raw = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
            bits = len(raw) * 8
            prefix = int(length or bits)
            free = bits - prefix
            base = int.from_bytes(raw, "big") >> free << free
        except (OSError, ValueError):
            return False
        if prefix < 0:
            return False
        self.networks[bits].add((base, prefix, number))
        return True

    def packed(self) -> bytes:
        about = {
            "lists": self.lists,
            "regexes": self.expressions,
            "unusable": sum(info.unusable for info in self.lists),
        }
        arrays = pack_texts(self.hashes)
        for bits, networks in self.networks.items():
            for name, array in pack_networks(networks, bits).items():
                arrays[f"{name}{bits}"] = array
        arrays["needles"] = np.frombuffer(b"".join(needle for _, needle in self.needles), np.uint8)
        arrays["needle_sizes"] = np.array([len(needle) for _, needle in self.needles], np.uint32)
        arrays["needle_lists"] = np.array([number for number, _ in self.needles], np.uint16)
        return packed_arrays.pack(about, arrays)


def _category(name: str) -> str:
    if _SPECIAL.search(name):
        return "special"
    return "known" if _KNOWN.search(name) else "false_positive"


def _normalize_name(text: str) -> str:
    """A host name as observables have it; empty when it is none."""
    name = text.strip(".").lower()
    if name.isascii():
        return name
    try:
        return ada_url.idna.encode(name).decode("ascii").lower()
    except ValueError:
        return ""

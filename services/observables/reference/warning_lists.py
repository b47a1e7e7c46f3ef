"""Warning lists of MISP: what is well known and mostly harmless, packed into one blob and asked in microseconds.

String and hostname entries become 64-bit hashes in one sorted array; with three million entries, the chance that a
text nobody listed hits is one in six million million. Networks are laid out as disjoint ranges, each pointing to the
narrowest network around it, and networks point to what encloses them. Substrings are found by their rarest piece.
"""

import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, Final, Literal, NamedTuple

import ada_url
import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from services.observables.reference import packed_arrays
from shared.errors import InvalidInput
from shared.stix.vocabulary import ObservableType as Type

_ADDRESSES: Final = (Type.IPV4, Type.IPV6)
# Only what is an attribute of its own: our values are never pairs such as `domain|ip`, and the one list that names
# a pair and not its parts (substrings of disposable mail hosts) would hit `this.after.example` by its `is.af`.
_CONCERNS: Final[dict[str, tuple[Type, ...]]] = {
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
# The lists themselves carry no category, though the format has one. These say who somebody is and not that he is
# harmless: anyone can rent, register or upload something there, or be popular.
_KNOWN: Final = re.compile(
    r"\btop\b|top500|crux|cloud|amazon aws|azure|akamai|fastly|stackpath|cdn|ovh|github ip|vpn|zscaler"
    r"|dynamic dns|dns resolvers|shortener|link in bio|lots|ipfs|disposable|parking|sinkhole|blockpage"
    r"|scan|smtp|external ip|source ip|tlds|phone|private relay|telegram|connection-attempt",
    re.IGNORECASE,
)
_Kind = Literal["string", "hostname", "substring", "cidr", "regex"]
# What these name is nobody's: whether it is a finding depends on whose network it was found in.
_SPECIAL: Final = re.compile(r"\brfc ?\d|link local", re.IGNORECASE)
_Category = Literal["false_positive", "known", "special"]


class ListInfo(NamedTuple):
    """One list: its name, category, kind, version (mostly a date as yyyymmdd), usable and unusable entries."""

    name: str
    category: str
    kind: str
    version: str
    size: int
    unusable: int
    types: tuple[str, ...] | None
    """The types of observables it is about; None when it does not say, so all."""


class _File(msgspec.Struct):
    name: str
    version: int | str
    kind: _Kind = msgspec.field(name="type")
    entries: list[Any] = msgspec.field(name="list")
    category: _Category | None = None
    matching_attributes: list[str] | None = None

    def types(self) -> tuple[str, ...] | None:
        asked = self.matching_attributes
        return (
            tuple(sorted({t.value for name in asked for t in _CONCERNS.get(name, ())}))
            if asked
            else None
        )


def bundled() -> Iterator[tuple[str, bytes]]:
    """The lists that the package pymispwarninglists carries, as `pack` takes them; nothing of it is imported.

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
        files: the name and the bytes of each `list.json`; read one after the other, so a generator saves memory.

    Raises:
        InvalidInput: a file is no warning list; the message names it. A single entry that cannot be used is counted
            in the header and left out.
    """
    packing = _Packing()
    for name, data in files:
        try:
            packing.add(msgspec.json.decode(data, type=_File))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{name} is no warning list: {error}", where=name) from error
    return packing.packed()


class _Packing:
    def __init__(self) -> None:
        self.lists: list[ListInfo] = []
        self.hashes: list[packed_arrays.Array] = []
        self.networks: dict[int, set[tuple[int, int, int]]] = {32: set(), 128: set()}
        self.needles: list[tuple[int, bytes]] = []
        self.regexes: list[tuple[int, str]] = []

    def add(self, file: _File) -> None:
        number, total, types = len(self.lists), len(file.entries), file.types()
        texts = (
            text for entry in file.entries if isinstance(entry, str) and (text := entry.strip())
        )
        hashes: packed_arrays.Array = np.empty(0, np.uint64)
        match file.kind:
            case "string" | "hostname":
                # Lists of names put a dot before some; no name has one, so without it they would never match.
                names = file.kind == "hostname" or Type.DOMAIN in (types or ())
                keys = (key for text in texts if (key := _name(text) if names else text.lower()))
                hashes = np.fromiter((xxh3_64_intdigest(key.encode()) for key in keys), np.uint64)
                used = hashes.size
            case "substring":
                needles = [(number, text.lower().encode()) for text in texts]
                self.needles += needles
                used = len(needles)
            case "cidr":
                used = sum(self._add_network(number, text) for text in texts)
            case "regex":
                regexes = [(number, text) for text in texts if compiled(text)]
                self.regexes += regexes
                used = len(regexes)
        self.hashes.append(hashes)
        category = file.category or _category(file.name)
        self.lists.append(
            ListInfo(file.name, category, file.kind, str(file.version), used, total - used, types)
        )

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
            "regexes": self.regexes,
            "unusable": sum(one.unusable for one in self.lists),
        }
        arrays = _grouped(self.hashes)
        for bits, networks in self.networks.items():
            arrays |= {f"{name}{bits}": array for name, array in _flattened(networks, bits).items()}
        arrays["needles"] = np.frombuffer(b"".join(needle for _, needle in self.needles), np.uint8)
        arrays["needle_sizes"] = np.array([len(needle) for _, needle in self.needles], np.uint32)
        arrays["needle_lists"] = np.array([number for number, _ in self.needles], np.uint16)
        return packed_arrays.pack(about, arrays)


def _category(name: str) -> str:
    if _SPECIAL.search(name):
        return "special"
    return "known" if _KNOWN.search(name) else "false_positive"


def _name(text: str) -> str:
    name = text.strip(".").lower()
    if name.isascii():
        return name
    try:
        return ada_url.idna.encode(name).decode("ascii").lower()
    except ValueError:
        return ""


def compiled(text: str) -> re.Pattern[str] | None:
    """A regular expression as PHP writes it, `/…/i`, or bare; None when Python cannot read it."""
    slashed = re.fullmatch(r"/(.*)/([a-zA-Z]*)", text, re.DOTALL)
    pattern, flags = slashed.groups() if slashed else (text, "")
    known = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # what Python may read otherwise one day is not ours to mend
            return re.compile(pattern, sum(known.get(flag, re.NOFLAG) for flag in set(flags)))
    except (re.error, OverflowError, RecursionError):
        return None


def _grouped(hashes: Sequence[packed_arrays.Array]) -> dict[str, packed_arrays.Array]:
    """Sorted hashes, for each the set of lists it is in, and those sets."""
    numbers = np.repeat(np.arange(len(hashes), dtype=np.uint16), [one.size for one in hashes])
    flat = np.concatenate([np.empty(0, np.uint64), *hashes])
    order = np.lexsort((numbers, flat))
    flat, numbers = flat[order], numbers[order]
    again = np.zeros(flat.size, bool)
    again[1:] = (flat[1:] == flat[:-1]) & (numbers[1:] == numbers[:-1])
    flat, numbers = flat[~again], numbers[~again]
    starts = (
        np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]]) if flat.size else np.empty(0, np.intp)
    )
    # A set is recognised by the sum of a random number for each of its lists: no Python object for each hash.
    marks = np.random.default_rng(len(hashes)).integers(2**64, size=len(hashes), dtype=np.uint64)
    sums = np.add.reduceat(marks[numbers], starts) if flat.size else np.empty(0, np.uint64)
    _, first, sets = np.unique(sums, return_index=True, return_inverse=True)
    ends = np.r_[starts[1:], flat.size]
    members = [numbers[starts[one] : ends[one]] for one in first]
    return {
        "keys": flat[starts],
        "sets": sets.astype(np.min_scalar_type(max(len(members), 1))),
        "set_sizes": np.array([one.size for one in members], np.uint16),
        "set_lists": np.concatenate([np.empty(0, np.uint16), *members]),
    }


def _flattened(networks: set[tuple[int, int, int]], bits: int) -> dict[str, packed_arrays.Array]:
    """Where ranges start, the narrowest network of each (-1: none), and the network around each network."""
    starts, inner, around = [0], [-1], []
    ordered = sorted(networks)
    open_: list[tuple[int, int]] = []

    def turn(at: int, network: int) -> None:
        if starts[-1] == at:
            inner[-1] = network
        elif at >> bits == 0:
            starts.append(at)
            inner.append(network)

    for number, (base, prefix, _) in enumerate(ordered):
        while open_ and open_[-1][0] <= base:
            end, _ = open_.pop()
            turn(end, open_[-1][1] if open_ else -1)
        around.append(open_[-1][1] if open_ else -1)
        open_.append((base + (1 << (bits - prefix)), number))
        turn(base, number)
    while open_:
        end, _ = open_.pop()
        turn(end, open_[-1][1] if open_ else -1)
    return {
        "starts": np.frombuffer(
            b"".join(one.to_bytes(bits // 8, "big") for one in starts), np.uint8
        ),
        "inner": np.array(inner, np.int32),
        "around": np.array(around, np.int32),
        "prefixes": np.array([prefix for _, prefix, _ in ordered], np.uint8),
        "lists": np.array([number for _, _, number in ordered], np.uint16),
    }

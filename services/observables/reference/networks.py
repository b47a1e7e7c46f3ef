"""Networks of the Internet: which AS announces an address, and in which country it is registered.

Tables of ranges become one sorted array of places where something changes, for each family of addresses; what holds
from there on is a number into a short table of pairs (AS, country). Ranges may overlap: the narrower one wins, and of
two equal ones the one read last.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

import numpy as np

from services.observables.reference import packed_arrays
from shared.errors import InvalidInput
from shared.stix.vocabulary import ObservableType as Type
from shared.stix.vocabulary import excerpt

_BITS: Final = {Type.IPV4: 32, Type.IPV6: 128}
# What tables write where they know no country, or no AS that announces the range.
_NO_COUNTRY: Final = frozenset({"", "None", "Unknown", "ZZ"})


class Network(NamedTuple):
    """Who announces an address and where it is registered.

    Attributes:
        asn: the number of the autonomous system; None when nobody is known to announce the address.
        country: two letters of ISO 3166, also `EU` or `AP`; None when it is not known.
    """

    asn: int | None
    country: str | None


class Ranges:
    """Disjoint ranges of addresses of one family, each with a number; 0 stands for all that lies between them."""

    def __init__(self, starts: packed_arrays.Array, numbers: packed_arrays.Array) -> None:
        self.starts, self.numbers = starts, numbers
        self._family, self._order = (
            (AF_INET, ">u4") if starts.dtype.kind == "u" else (AF_INET6, "S16")
        )

    @classmethod
    def flattened(
        cls, firsts: bytes, lasts: bytes, numbers: packed_arrays.Array, bits: int
    ) -> "Ranges":
        """Ranges that may overlap, laid out flat: where several lie, the narrowest counts, then the last.

        Args:
            firsts: the first address of each range as `inet_pton` gives it, one after the other.
            lasts: the last address of each, likewise.
            numbers: what each range stands for, not 0.
            bits: 32 or 128.
        """
        order = f"S{bits // 8}"  # bytes sort as the numbers they spell, of whatever length
        first = np.frombuffer(firsts, order)
        after, ends_space = _after(lasts, bits)
        starts = np.unique(np.concatenate([np.zeros(1, order), first, after[~ends_space]]))
        begin, end = starts.searchsorted(first), starts.searchsorted(after)
        end[ends_space] = starts.size
        painted = np.zeros(starts.size, numbers.dtype)
        widest_first = _widest_first(firsts, lasts, bits)
        for one, to, number in zip(
            begin[widest_first].tolist(),
            end[widest_first].tolist(),
            numbers[widest_first].tolist(),
            strict=True,
        ):
            painted[one:to] = number
        return cls._merged(starts, painted)

    @classmethod
    def _merged(cls, starts: packed_arrays.Array, numbers: packed_arrays.Array) -> "Ranges":
        kept = np.r_[True, numbers[1:] != numbers[:-1]]
        starts = np.ascontiguousarray(starts[kept])
        return cls(
            starts.view(">u4").astype(np.uint32) if starts.dtype.itemsize == 4 else starts,
            numbers[kept],
        )

    def find(self, values: Sequence[str]) -> list[int]:
        """The number for each canonical address; of an address network, that of its first address."""
        family = self._family
        raw = [inet_pton(family, value.partition("/")[0]) for value in values]
        asked = np.frombuffer(b"".join(raw), self._order).astype(self.starts.dtype, copy=False)
        found: list[int] = self.numbers[self.starts.searchsorted(asked, "right") - 1].tolist()
        return found


def _after(lasts: bytes, bits: int) -> tuple[packed_arrays.Array, packed_arrays.Array]:
    """The address after each, and whether there is none because the space ends."""
    words = np.frombuffer(lasts, ">u4").astype(np.uint32).reshape(-1, bits // 32)
    carry = np.ones(len(words), bool)
    for at in reversed(range(words.shape[1])):
        words[:, at] += carry
        carry &= words[:, at] == 0
    return np.frombuffer(words.astype(">u4").tobytes(), f"S{bits // 8}"), carry


def _widest_first(firsts: bytes, lasts: bytes, bits: int) -> packed_arrays.Array:
    """In which order to take ranges, so that a narrower one comes after those around it."""
    first, last = (
        np.frombuffer(one, ">u4").astype(np.int64).reshape(-1, bits // 32)
        for one in (firsts, lasts)
    )
    width = last - first
    for at in range(width.shape[1] - 1, 0, -1):
        borrowed = width[:, at] < 0
        width[:, at] += borrowed.astype(np.int64) << 32
        width[:, at - 1] -= borrowed
    return np.lexsort([-width[:, at] for at in reversed(range(width.shape[1]))])


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Tables of networks as one blob for `Networks`.

    Args:
        files: the name and the bytes of each table. Their lines tell the layout: five columns between tabs are
            iptoasn.com's, four between commas are ip-location-db's for AS, three those for countries. Both families
            may be in one file.

    Raises:
        InvalidInput: a line is none of these; the message names the file and the line.
    """
    packing = _Packing()
    for name, data in files:
        packing.add(name, data)
    return packing.packed()


class _Table:
    """Ranges of one family as they are read."""

    def __init__(self) -> None:
        self.firsts, self.lasts, self.numbers = bytearray(), bytearray(), list[int]()

    def ranges(self, bits: int) -> Ranges:
        return Ranges.flattened(
            bytes(self.firsts), bytes(self.lasts), np.array(self.numbers, np.uint32), bits
        )


class _Packing:
    def __init__(self) -> None:
        # By the number of bytes of an address, as that is what is at hand when a line is read.
        self.systems = {4: _Table(), 16: _Table()}
        self.countries = {4: _Table(), 16: _Table()}
        self.names: dict[int, str] = {}

    def add(self, name: str, data: bytes) -> None:
        number = 0
        try:
            text = data.decode("utf-8-sig")
            rows: Iterator[list[str]]
            if "\t" in text.partition("\n")[0]:
                rows = (line.rstrip("\r").split("\t") for line in text.split("\n"))
            else:
                rows = csv.reader(StringIO(text), strict=True)
            for number, row in enumerate(rows, 1):  # noqa: B007  # told when a line cannot be read
                if row and row != [""]:
                    self._add(row)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise InvalidInput(f"{name}, line {line}: not UTF-8", where=name, line=line) from error
        except csv.Error as error:
            raise InvalidInput(
                f"{name}, line {number + 1}: {error}", where=name, line=number + 1
            ) from error
        except ValueError as error:
            raise InvalidInput(
                f"{name}, line {number}: {error}", where=name, line=number
            ) from error

    def _add(self, row: list[str]) -> None:
        match row:
            case [first, last, country]:
                asn = 0
            case [first, last, system, name]:
                asn, country = self._system(system, name), ""
            case [first, last, system, country, name]:
                asn = self._system(system, name)
            case _:
                raise ValueError(f"{len(row)} columns, 3 to 5 expected: {excerpt(','.join(row))}")
        start, end = _packed(first), _packed(last)
        if len(start) != len(end) or start > end:
            raise ValueError(f"{first} to {last} is no range of addresses")
        if asn:
            _put(self.systems[len(start)], start, end, asn)
        if country not in _NO_COUNTRY:
            _put(self.countries[len(start)], start, end, _code(country))

    def _system(self, text: str, name: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 32):
            raise ValueError(f"{excerpt(text)!r} is no AS number")
        asn = int(text)
        if asn and name:
            self.names[asn] = name
        return asn

    def packed(self) -> bytes:
        both = {bits: _joined(self.systems[bits // 8].ranges(bits), self.countries[bits // 8].ranges(bits))
                for bits in _BITS.values()}  # fmt: skip
        pairs = np.unique(
            np.concatenate([np.zeros(1, np.uint64), *(held for _, held in both.values())])
        )
        arrays: dict[str, packed_arrays.Array] = {
            "asns": (pairs >> np.uint64(16)).astype(np.uint32),
            "countries": pairs.astype(np.uint16),
        }
        for bits, (starts, held) in both.items():
            arrays |= {
                f"starts{bits}": starts,
                f"pairs{bits}": pairs.searchsorted(held).astype(np.uint32),
            }
        named = sorted(self.names)
        texts = [self.names[asn].encode() for asn in named]
        arrays["named"] = np.array(named, np.uint32)
        arrays["names"] = np.frombuffer(b"".join(texts), np.uint8)
        arrays["name_ends"] = np.cumsum([len(text) for text in texts], dtype=np.uint32)
        return packed_arrays.pack({"kind": "networks"}, arrays)


def _packed(address: str) -> bytes:
    try:
        return inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        raise ValueError(f"{excerpt(address)!r} is no address") from None


def _code(country: str) -> int:
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise ValueError(f"{excerpt(country)!r} is no country of two letters")
    return ord(country[0]) << 8 | ord(country[1])


def _put(table: _Table, start: bytes, end: bytes, number: int) -> None:
    table.firsts += start
    table.lasts += end
    table.numbers.append(number)


def _joined(systems: Ranges, countries: Ranges) -> tuple[packed_arrays.Array, packed_arrays.Array]:
    """Where either changes, and from there on the AS in the upper bits and the country in the lower sixteen."""
    starts = np.union1d(systems.starts, countries.starts)
    asn, country = (
        one.numbers[one.starts.searchsorted(starts, "right") - 1] for one in (systems, countries)
    )
    held = asn.astype(np.uint64) << np.uint64(16) | country
    kept = np.r_[True, held[1:] != held[:-1]]
    return starts[kept], held[kept]


class Networks:
    """Packed tables, asked by address.

    Args:
        blob: what `pack` returned; it is read where it lies.

    Raises:
        InvalidInput: the blob is none of ours.
    """

    def __init__(self, blob: bytes | memoryview) -> None:
        about, arrays = packed_arrays.unpack(blob)
        if about.get("kind") != "networks":
            raise InvalidInput("This is packed reference data, but no tables of networks")
        self._ranges: dict[str, Ranges] = {
            type_: Ranges(arrays[f"starts{bits}"], arrays[f"pairs{bits}"])
            for type_, bits in _BITS.items()
        }
        self._asns, self._countries = arrays["asns"], arrays["countries"]
        self._named, self._names, self._name_ends = (
            arrays["named"],
            arrays["names"],
            arrays["name_ends"],
        )
        # One object for each pair, made when it is first met: most of the hundred thousand never are.
        self._known: list[Network | None] = [None] * self._asns.size

    def find_many(self, type_: str, values: Sequence[str]) -> list[Network | None]:
        """What is known about each address, in order; equal answers are one object.

        Args:
            type_: `ipv4-addr` or `ipv6-addr`; there is nothing to say about others.
            values: canonical values; an address network is answered for by its first address.
        """
        ranges = self._ranges.get(type_)
        if ranges is None:
            return [None] * len(values)
        known = self._known
        return [
            (known[pair] or self._network(pair)) if pair else None for pair in ranges.find(values)
        ]

    def _network(self, pair: int) -> Network:
        asn, country = int(self._asns[pair]), int(self._countries[pair])
        made = Network(asn or None, chr(country >> 8) + chr(country & 255) if country else None)
        self._known[pair] = made
        return made

    def name_of(self, asn: int) -> str | None:
        """Under which name an autonomous system is registered."""
        at = int(self._named.searchsorted(asn))
        if at == self._named.size or self._named[at] != asn:
            return None
        start = self._name_ends[at - 1] if at else 0
        return self._names[start : self._name_ends[at]].tobytes().decode()

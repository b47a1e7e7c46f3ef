"""Networks of the Internet: the AS that announces an address, and its country of registration.

For each family of addresses, tables of ranges become one sorted array of the addresses at which
something changes. From there on a number holds, the index of a pair (AS, country) in a short
table. Ranges may overlap: the narrower one wins, and of two equal ones the one read last.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final, NamedTuple

import numpy as np

from services.observables.reference import packed_arrays
from services.observables.reference.address_ranges import AddressRanges
from services.observables.reference.packed_arrays import Array
from shared.errors import InvalidInput
from shared.stix.vocabulary import ObservableType as Type
from shared.stix.vocabulary import excerpt

_BITS: Final = {Type.IPV4: 32, Type.IPV6: 128}
# How tables write that the country is unknown, or that no AS announces the range.
_NO_COUNTRY: Final = frozenset({"", "None", "Unknown", "ZZ"})
_COUNTRY_BITS: Final = np.uint64(16)


class Network(NamedTuple):
    """The announcement of an address.

    Attributes:
        asn: the number of the autonomous system; None when no known one announces the address.
        country: two letters of ISO 3166, also `EU` or `AP`; None when it is unknown.
    """

    asn: int | None
    country: str | None


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Tables of networks as one blob for `Networks`.

    Args:
        files: the name and the bytes of each table. Its lines tell the layout: five columns
            between tabs are iptoasn.com's, four between commas are ip-location-db's for AS, three
            those for countries. One file may have both families.

    Raises:
        InvalidInput: a line has no such layout; the message names the file and the line.
    """
    packing = _Packing()
    for name, data in files:
        packing.add(name, data)
    return packing.packed()


class _Table:
    """Ranges of one family as they are read: addresses joined, which take the least memory."""

    def __init__(self) -> None:
        self.firsts = bytearray()
        self.lasts = bytearray()
        self.numbers: list[int] = []

    def append(self, first: bytes, last: bytes, number: int) -> None:
        self.firsts += first
        self.lasts += last
        self.numbers.append(number)

    def ranges(self, bits: int) -> AddressRanges:
        numbers = np.array(self.numbers, np.uint32)
        return AddressRanges.flatten(bytes(self.firsts), bytes(self.lasts), numbers, bits)


class _Packing:
    def __init__(self) -> None:
        # By the number of bytes of an address, which is known when a line is read.
        self.systems = {4: _Table(), 16: _Table()}
        self.countries = {4: _Table(), 16: _Table()}
        self.names: dict[int, str] = {}

    def add(self, name: str, data: bytes) -> None:
        number = 0
        try:
            for number, row in enumerate(_rows(data), 1):  # noqa: B007  # for the message below
                if row and row != [""]:
                    self._add_row(row)
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

    def _add_row(self, row: list[str]) -> None:
        match row:
            case [first, last, country]:
                asn = 0
            case [first, last, system, name]:
                asn = self._system(system, name)
                country = ""
            case [first, last, system, country, name]:
                asn = self._system(system, name)
            case _:
                raise ValueError(f"{len(row)} columns, 3 to 5 expected: {excerpt(','.join(row))}")
        start = _parse_address(first)
        end = _parse_address(last)
        if len(start) != len(end) or start > end:
            raise ValueError(f"{first} to {last} is no range of addresses")
        if asn:
            self.systems[len(start)].append(start, end, asn)
        if country not in _NO_COUNTRY:
            self.countries[len(start)].append(start, end, _country_number(country))

    def _system(self, text: str, name: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 32):
            raise ValueError(f"{excerpt(text)!r} is no AS number")
        asn = int(text)
        if asn and name:
            self.names[asn] = name
        return asn

    def packed(self) -> bytes:
        # For each family, where AS or country change, and the pair from there on.
        families: dict[int, tuple[Array, Array]] = {}
        for bits in _BITS.values():
            families[bits] = _join(
                self.systems[bits // 8].ranges(bits), self.countries[bits // 8].ranges(bits)
            )
        # Hundreds of thousands of ranges share some ten thousand pairs; 0 is the pair of gaps.
        all_pairs = [pairs for _, pairs in families.values()]
        distinct = np.unique(np.concatenate([np.zeros(1, np.uint64), *all_pairs]))
        arrays: dict[str, Array] = {
            "asns": (distinct >> _COUNTRY_BITS).astype(np.uint32),
            "countries": distinct.astype(np.uint16),
        }
        for bits, (starts, pairs) in families.items():
            arrays[f"starts{bits}"] = starts
            arrays[f"pairs{bits}"] = distinct.searchsorted(pairs).astype(np.uint32)
        # Names by AS: sorted numbers, the joined names, and where each ends.
        named = sorted(self.names)
        texts = [self.names[asn].encode() for asn in named]
        arrays["named"] = np.array(named, np.uint32)
        arrays["names"] = np.frombuffer(b"".join(texts), np.uint8)
        arrays["name_ends"] = np.cumsum([len(text) for text in texts], dtype=np.uint32)
        return packed_arrays.pack({"kind": "networks"}, arrays)


def _rows(data: bytes) -> Iterator[list[str]]:
    """The columns of each line; a tab in the first line tells that tabs separate them."""
    text = data.decode("utf-8-sig")
    if "\t" in text.partition("\n")[0]:
        return (line.rstrip("\r").split("\t") for line in text.split("\n"))
    return csv.reader(StringIO(text), strict=True)


def _parse_address(address: str) -> bytes:
    try:
        return inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    except (OSError, ValueError):
        raise ValueError(f"{excerpt(address)!r} is no address") from None


def _country_number(country: str) -> int:
    """Two letters as a number of 16 bits."""
    if not (len(country) == 2 and country.isascii() and country.isalpha() and country.isupper()):
        raise ValueError(f"{excerpt(country)!r} is no country of two letters")
    return ord(country[0]) << 8 | ord(country[1])


def _join(systems: AddressRanges, countries: AddressRanges) -> tuple[Array, Array]:
    """Where either changes; from there on the AS in the upper bits, the country in the lower 16."""
    starts = np.union1d(systems.starts, countries.starts)
    asns = systems.numbers[systems.starts.searchsorted(starts, "right") - 1]
    codes = countries.numbers[countries.starts.searchsorted(starts, "right") - 1]
    pairs = asns.astype(np.uint64) << _COUNTRY_BITS | codes
    differs = np.r_[True, pairs[1:] != pairs[:-1]]
    return starts[differs], pairs[differs]


class Networks:
    """Packed tables, searched by address.

    Args:
        blob: what `pack` returned; its arrays are read in place.

    Raises:
        InvalidInput: the blob is no packed tables of networks.
    """

    def __init__(self, blob: bytes | memoryview) -> None:
        about, arrays = packed_arrays.unpack(blob)
        if about.get("kind") != "networks":
            raise InvalidInput("This is packed reference data, but no tables of networks.")
        self._ranges: dict[str, AddressRanges] = {
            type_: AddressRanges(arrays[f"starts{bits}"], arrays[f"pairs{bits}"])
            for type_, bits in _BITS.items()
        }
        self._asns = arrays["asns"]
        self._countries = arrays["countries"]
        self._named = arrays["named"]
        self._names = arrays["names"]
        self._name_ends = arrays["name_ends"]
        # One object for each pair, made when it is first found; most pairs never are.
        self._networks: list[Network | None] = [None] * self._asns.size

    def find_many(self, type_: str, values: Sequence[str]) -> list[Network | None]:
        """The network of each address, in order; equal ones are one object.

        Args:
            type_: `ipv4-addr` or `ipv6-addr`; other types have no network.
            values: canonical values; a network of addresses counts as its first address.
        """
        ranges = self._ranges.get(type_)
        if ranges is None:
            return [None] * len(values)
        networks = self._networks
        return [
            (networks[pair] or self._network(pair)) if pair else None
            for pair in ranges.find(values)
        ]

    def _network(self, pair: int) -> Network:
        asn = int(self._asns[pair])
        country = int(self._countries[pair])
        network = Network(asn or None, chr(country >> 8) + chr(country & 255) if country else None)
        self._networks[pair] = network
        return network

    def name_of(self, asn: int) -> str | None:
        """The name that an autonomous system is registered under."""
        place = int(self._named.searchsorted(asn))
        if place == self._named.size or self._named[place] != asn:
            return None
        start = self._name_ends[place - 1] if place else 0
        return self._names[start : self._name_ends[place]].tobytes().decode()

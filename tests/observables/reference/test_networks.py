"""Tables of networks: the layouts they have, the answers, and the files that are refused."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.observables.reference import networks, packed_arrays
from services.observables.reference.networks import Network, Networks
from shared.errors import InvalidInput

ASN4 = b'1.0.0.0,1.0.0.255,64496,"Example, Inc."\n1.0.4.0,1.0.7.255,64497,Other Ltd\n'
ASN6 = b'2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,64496,"Example, Inc."\n'
COUNTRY4 = b"1.0.0.0,1.0.0.127,AU\n1.0.2.0,1.0.5.255,CN\n"
IPTOASN = (
    b"1.0.0.0\t1.0.0.255\t64496\tUS\tExample, Inc.\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n"
    b"2001:db8::\t2001:db8::ff\t64498\tDE\tBeispiel \xe2\x80\xa8 \xc3\xbc\n"
)


def packing(*files: bytes) -> Networks:
    return Networks(networks.pack((f"table-{at}", data) for at, data in enumerate(files)))


def find(tables: Networks, *values: str) -> list[Network | None]:
    return tables.find_many("ipv6-addr" if ":" in values[0] else "ipv4-addr", values)


class TestLayouts:
    def test_systems_and_countries_of_ip_location_db_are_laid_over_each_other(self):
        tables = packing(ASN4, ASN6, COUNTRY4)
        addresses = ["1.0.0.1", "1.0.0.200", "1.0.2.9", "1.0.4.4", "1.0.7.255", "1.0.8.0"]
        assert find(tables, *addresses, "0.0.0.1") == [
            Network(64496, "AU"),
            Network(64496, None),
            Network(None, "CN"),
            Network(64497, "CN"),
            Network(64497, None),
            None,
            None,
        ]
        assert find(tables, "2001:db8::1", "2001:db9::", "::") == [Network(64496, None), None, None]

    def test_iptoasn_has_both_and_unannounced_ranges_are_left_out(self):
        tables = packing(IPTOASN)
        assert find(tables, "1.0.0.1", "1.0.2.0") == [Network(64496, "US"), None]
        assert find(tables, "2001:db8::ff", "2001:db8::100") == [Network(64498, "DE"), None]
        assert tables.name_of(0) is None

    def test_a_byte_order_mark_blank_lines_and_windows_line_ends_are_no_obstacle(self):
        assert find(packing(b"\xef\xbb\xbf" + ASN4.replace(b"\n", b"\r\n\r\n")), "1.0.4.1") == [
            Network(64497, None)
        ]
        tables = packing(IPTOASN.replace(b"\n", b"\r\n") + b"\n")
        assert tables.name_of(64496) == "Example, Inc."

    def test_a_whole_space_of_addresses_is_a_range(self):
        tables = packing(
            b"0.0.0.0,255.255.255.255,ZZ\n0.0.0.0,255.255.255.255,EU\n::,"
            + b"ffff:" * 7
            + b"ffff,AP\n"
        )
        assert find(tables, "0.0.0.1", "255.255.255.255") == [Network(None, "EU")] * 2
        assert find(tables, "::", "ffff:" * 7 + "ffff") == [Network(None, "AP")] * 2

    def test_without_tables_no_address_has_a_network(self):
        tables = packing()
        assert find(tables, "1.1.1.1") == find(tables, "::2") == [None]
        assert tables.name_of(1) is None


class TestAnswers:
    def test_a_network_is_answered_for_by_its_first_address(self):
        tables = packing(ASN4, ASN6)
        assert find(tables, "1.0.0.0/16", "1.0.2.0/23") == [Network(64496, None), None]
        assert find(tables, "2001:db8::/31") == [Network(64496, None)]

    def test_equal_answers_are_one_object(self):
        first, second = find(packing(ASN4), "1.0.0.1", "1.0.0.2")
        assert first is second

    def test_other_types_have_no_network(self):
        assert packing(ASN4).find_many("domain-name", ["example.com"]) == [None]

    def test_the_narrower_of_two_ranges_wins_and_of_equal_ones_the_last(self):
        wide = b"1.0.0.0,1.255.255.255,1,wide\n"
        narrow = b"1.2.0.0,1.2.255.255,2,narrow\n"
        again = b"1.2.0.0,1.2.255.255,3,again\n"
        for files in ((wide, narrow, again), (narrow, again, wide), (narrow, wide, again)):
            assert find(packing(*files), "1.1.0.0", "1.2.3.4", "1.3.0.0") == [
                Network(1, None), Network(3, None), Network(1, None),
            ]  # fmt: skip

    def test_names_are_found_by_number(self):
        tables = packing(ASN4, IPTOASN)
        assert [tables.name_of(asn) for asn in (64496, 64497, 64498, 64499, 1)] == [
            "Example, Inc.", "Other Ltd", "Beispiel \u2028 ü", None, None,
        ]  # fmt: skip

    def test_the_last_addresses_of_the_space_may_have_a_network(self):
        tables = packing(b"255.255.255.254,255.255.255.255,9,end\n")
        assert find(tables, "255.255.255.253", "255.255.255.255") == [None, Network(9, None)]


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "line"),
        [
            (b"1.0.0.0,1.0.0.255\n", 1),
            (ASN4 + b"1.0.0.0,1.0.0.300,1,x\n", 3),
            (ASN4 + b"1.0.0.9,1.0.0.1,1,x\n", 3),
            (ASN4 + b"1.0.0.9,::1,1,x\n", 3),
            (ASN4 + b"1.0.0.0,1.0.0.1,AS1,x\n", 3),
            (ASN4 + b"1.0.0.0,1.0.0.1,4294967296,x\n", 3),
            (COUNTRY4 + b"1.0.0.0,1.0.0.1,Deutschland\n", 3),
            (COUNTRY4 + b"1.0.0.0,1.0.0.1,de\n", 3),
            (IPTOASN + b"1.0.0.0\t1.0.0.1\tDE\n1.0.0.0\tx\tDE\n", 5),
            (ASN4 + b"\xff", 3),
            (ASN4 + b'1.0.0.0,1.0.0.1,1,"x', 3),
            (b"<html>\n", 1),
        ],
    )
    def test_an_unreadable_line_is_named(self, data, line):
        with pytest.raises(InvalidInput, match=rf"table-1, line {line}: ") as caught:
            packing(ASN4, data)
        assert caught.value.details["line"] == line

    def test_other_packed_data_are_refused(self):
        with pytest.raises(InvalidInput):
            Networks(packed_arrays.pack({"kind": "exploited"}, {}))
        with pytest.raises(InvalidInput):
            Networks(networks.pack([("a", ASN4)])[:-70])


def ranges(make, bits):
    # Few distinct ends near borders of bytes and words, so that ranges touch, nest and overlap.
    numbers = st.one_of(
        st.integers(0, 40),
        st.integers(0, 1 << bits - 1).map(lambda number: number & ~0xFF | number % 3),
        st.sampled_from([1 << at for at in range(bits)]),
        st.just((1 << bits) - 1),
    )
    return st.lists(st.tuples(numbers, numbers, st.integers(1, 5)), max_size=12).map(
        lambda rows: [(make(min(a, b)), make(max(a, b)), asn) for a, b, asn in rows]
    )


@pytest.mark.parametrize(("make", "bits"), [(IPv4Address, 32), (IPv6Address, 128)])
class TestAgainstTheSlowWay:
    @given(data=st.data())
    def test_each_address_belongs_to_the_narrowest_range(self, make, bits, data):
        rows = data.draw(ranges(make, bits))
        lines = [f"{first},{last},{asn},n\n" for first, last, asn in rows]
        tables = packing("".join(lines).encode())
        edges: set[int] = set()
        for first, last, _ in rows:
            edges |= {int(first) + by for by in (-1, 0, 1)} | {int(last) + by for by in (-1, 0, 1)}
        probes = [make(edge) for edge in sorted(edges) if 0 <= edge < 1 << bits] or [make(7)]
        expected = []
        for probe in probes:
            around = [
                (int(first) - int(last), at, asn)
                for at, (first, last, asn) in enumerate(rows)
                if first <= probe <= last
            ]
            expected.append(max(around)[2] if around else None)
        networks_found = find(tables, *map(str, probes))
        assert [network and network.asn for network in networks_found] == expected

"""Each format, against a model of its reader."""

import base64
import csv
import io
import ipaddress
import json
import re
from datetime import datetime
from typing import Any
from uuid import UUID

import ada_url
import pytest
import stix2
from hypothesis import HealthCheck, given, settings

from services.observables.list_formats.aggregation import aggregate_ipv4, aggregate_ipv6
from services.observables.list_formats.base import ListVersion, Row
from services.observables.list_formats.patterns import pattern_of
from services.observables.list_formats.registry import list_format_named, list_formats
from tests.observables.list_formats.contract import (
    LISTS,
    MOMENT,
    VERSION,
    ListFormatContract,
    canonical,
    write,
)


def lines_of(text: str, comment: str | None = "#") -> list[str]:
    return [
        line for line in text.splitlines() if line and not (comment and line.startswith(comment))
    ]


def networks_of(values: list[str]) -> set[str]:
    return set(aggregate_ipv4([each for each in values if ":" not in each])) | set(
        aggregate_ipv6([each for each in values if ":" in each])
    )


class TestPlain(ListFormatContract):
    format = list_format_named("plain")

    def read(self, text: str) -> set[str]:
        return {line.strip() for line in lines_of(text)}

    @pytest.mark.parametrize(
        ("type_", "value"),
        [
            ("user-agent", "0.0.0.0/0"),
            ("mutex", "203.0.113.0/24"),
            ("mutex", "203.0.113.1-203.0.113.9"),
            ("file-name", "update.zip"),
            ("file-name", "com"),
            ("file-path", "bad.example.com/x"),
            ("user-agent", "http://bad.example.com/"),
            ("user-agent", "a@mail.example.com"),
        ],
    )
    def test_what_reads_as_another_type_is_left_out(self, type_: str, value: str) -> None:
        rows = [
            (type_, value, 80, 1, MOMENT, UUID(int=1)),
            ("mutex", "Global\\evil", 80, 2, MOMENT, UUID(int=2)),
            ("ipv4-addr", "198.51.100.0/24", 80, 3, MOMENT, UUID(int=3)),
        ]
        text, account = write(self.format, rows)
        assert lines_of(text) == ["Global\\evil", "198.51.100.0/24"]
        assert dict(account.left_out) == {"its reader would read it otherwise": 1}


class TestCsv(ListFormatContract):
    format = list_format_named("csv")

    def read(self, text: str) -> set[str]:
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        assert head == ["value", "type", "score", "joined_at", "id"]
        cells = {cell for row in rows for cell in row}
        assert not [cell for cell in cells if cell[0] in "=+-@\t\r|%"]
        return {row[0] for row in rows}


class TestJsonLines(ListFormatContract):
    format = list_format_named("jsonl")

    def read(self, text: str) -> set[str]:
        return {json.loads(line)["value"] for line in text.split("\n") if line}

    @settings(max_examples=50, deadline=None)
    @given(LISTS)
    def test_it_can_be_read_back(self, rows: list[Row]) -> None:
        text, _ = write(self.format, rows)
        objects = [json.loads(line) for line in text.split("\n") if line]
        assert [(each["type"], each["value"], each["id"]) for each in objects] == [
            (row[0], row[1], str(row[5])) for row in rows
        ]


class NetworkReader(ListFormatContract):
    """Of formats whose reader acts upon networks: they must cover exactly the addresses."""

    def networks(self, text: str) -> list[str]:
        raise NotImplementedError

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_a_reader_matches_nothing_that_no_observable_names(self, rows: list[Row]) -> None:
        text, _ = write(self.format, rows)
        values = [row[1] for row in rows if row[0] in {"ipv4-addr", "ipv6-addr"}]
        assert networks_of(self.networks(text)) == networks_of(values)


class TestCidr(NetworkReader):
    format = list_format_named("cidr")

    def networks(self, text: str) -> list[str]:
        return lines_of(text)

    @settings(max_examples=100, deadline=None)
    @given(LISTS)
    def test_it_equals_the_standard_library(self, rows: list[Row]) -> None:
        for type_, aggregate in (("ipv4-addr", aggregate_ipv4), ("ipv6-addr", aggregate_ipv6)):
            values = [row[1] for row in rows if row[0] == type_]
            networks: list[Any] = [ipaddress.ip_network(value) for value in values]
            collapsed = [str(each) for each in ipaddress.collapse_addresses(networks)]
            ending = "/32" if type_ == "ipv4-addr" else "/128"
            assert aggregate(values) == [each.removesuffix(ending) for each in collapsed]


class TestNftables(NetworkReader):
    format = list_format_named("nftables")

    def networks(self, text: str) -> list[str]:
        assert text.count("flush set inet sentineliq bad_hosts_v") == 2
        blocks = re.findall(r"add element inet sentineliq bad_hosts_v[46] \{\n([^}]*)\n\}", text)
        return [value for block in blocks for value in block.split(",\n")]


class TestIpset(NetworkReader):
    format = list_format_named("ipset")

    def networks(self, text: str) -> list[str]:
        assert text.count("swap bad_hosts_v") == 2
        return re.findall(r"^add bad_hosts_v[46]_n (\S+)$", text, re.MULTILINE)


class AddressLines(NetworkReader):
    """Of formats with an address or network a line."""

    def networks(self, text: str) -> list[str]:
        return lines_of(text)


class TestPanosIp(AddressLines):
    format = list_format_named("panos-ip")


class TestFortinetIp(AddressLines):
    format = list_format_named("fortinet-ip")


class TestCiscoIp(AddressLines):
    format = list_format_named("cisco-ip")


class TestIprep(AddressLines):
    format = list_format_named("iprep")

    def networks(self, text: str) -> list[str]:
        rows = [line.split(",") for line in lines_of(text)]
        assert all(1 <= int(score) <= 127 for _, _, score in rows)
        return [row[0] for row in rows]


class NameReader(ListFormatContract):
    """Of formats whose reader acts upon names: a name below an entry must not be among them."""

    def names(self, row: Row) -> set[str]:
        return {row[1]} if row[0] == "domain-name" else set()


class TestHosts(NameReader):
    format = list_format_named("hosts")

    def read(self, text: str) -> set[str]:
        rows = [line.split() for line in lines_of(text)]
        assert all(row[0].split(".") == ["0"] * 4 for row in rows)
        return {name for row in rows for name in row[1:]}


class TestDnsmasq(NameReader):
    format = list_format_named("dnsmasq")

    def read(self, text: str) -> set[str]:
        matches = [re.fullmatch(r"host-record=([^,]+),0\.0\.0\.0,::", x) for x in lines_of(text)]
        return {match[1] for match in matches if match} | {"?" for match in matches if not match}


class TestUnbound(NameReader):
    format = list_format_named("unbound")

    def read(self, text: str) -> set[str]:
        first, *rest = lines_of(text)
        assert first == "server:"
        pattern = r'local-data: "(\S+)\. 60 IN A 0\.0\.0\.0"'
        matches = [re.fullmatch(pattern, line) for line in rest]
        return {match[1] if match else "?" for match in matches}


class TestRpz(NameReader):
    format = list_format_named("rpz")

    def names(self, row: Row) -> set[str]:
        if row[0] == "domain-name":
            return {row[1]}
        is_address = row[0] in {"ipv4-addr", "ipv6-addr"}
        return {str(ipaddress.ip_network(row[1]))} if is_address else set()

    def read(self, text: str) -> set[str]:
        values = set()
        for line in lines_of(text, ";"):
            if line.startswith(("$", "@")):
                continue
            owner, *rest = line.split()
            assert rest == ["IN", "CNAME", "."]
            assert len(owner) + len(".rpz.invalid") <= 253
            values.add(self.address(owner) if owner.endswith(".rpz-ip") else owner)
        return values

    def address(self, owner: str) -> str:
        bits, *labels = owner.removesuffix(".rpz-ip").split(".")
        labels.reverse()
        if len(labels) == 4 and "zz" not in labels and all(x.isdigit() for x in labels):
            return str(ipaddress.ip_network(f"{'.'.join(labels)}/{bits}"))
        text = ":".join("" if label == "zz" else label for label in labels)
        text = f":{text}" if labels[0] == "zz" else text
        text = f"{text}:" if labels[-1] == "zz" else text
        return str(ipaddress.ip_network(f"{text}/{bits}"))

    def test_the_serial_is_the_version_and_below_says_both_names(self) -> None:
        version = ListVersion(VERSION.list_id, "x", 77, MOMENT, {"below": "yes", "zone": "r.test"})
        text, account = write(self.format, canonical([("domain-name", "a.example.com")]), version)
        assert "@ IN SOA localhost. hostmaster.localhost. 77 60 60 432000 60" in text
        assert "a.example.com IN CNAME .\n*.a.example.com IN CNAME .\n" in text
        assert "entries stand for the names below them as well" in text
        assert account.entries == 1


class TestPanosDomain(NameReader):
    format = list_format_named("panos-domain")

    def read(self, text: str) -> set[str]:
        return set(lines_of(text))


class TestFortinetDomain(TestPanosDomain):
    format = list_format_named("fortinet-domain")


class TestCiscoDomain(TestPanosDomain):
    format = list_format_named("cisco-domain")


class TestSuricataDomains(NameReader):
    format = list_format_named("suricata-domains")

    def read(self, text: str) -> set[str]:
        return {base64.b64decode(line).decode() for line in lines_of(text, None)}


class UrlReader(ListFormatContract):
    """Of formats whose reader knows URLs without a scheme."""

    def names(self, row: Row) -> set[str]:
        if row[0] != "url":
            return set()
        url = ada_url.URL(row[1])
        return {f"{url.host}{url.pathname}{url.search}"}


class TestPanosUrl(UrlReader):
    format = list_format_named("panos-url")

    def read(self, text: str) -> set[str]:
        lines = set(lines_of(text))
        # A host without a slash would be the beginning of longer names; * and ^ match others.
        assert all("/" in line and not set(line) & set("*^") for line in lines)
        return lines


class TestFortinetUrl(ListFormatContract):
    format = list_format_named("fortinet-url")

    def read(self, text: str) -> set[str]:
        return set(lines_of(text))


class TestCiscoUrl(TestFortinetUrl):
    format = list_format_named("cisco-url")


class TestFortinetHash(ListFormatContract):
    format = list_format_named("fortinet-hash")

    def read(self, text: str) -> set[str]:
        return set(lines_of(text))


class TestFortinetMac(TestFortinetHash):
    format = list_format_named("fortinet-mac")


class TestSuricataSha256(TestFortinetHash):
    format = list_format_named("suricata-sha256")


class TestSuricataMd5(TestFortinetHash):
    format = list_format_named("suricata-md5")


class TestSuricataIps(TestFortinetHash):
    format = list_format_named("suricata-ips")


class TestCheckPoint(ListFormatContract):
    format = list_format_named("checkpoint")

    def read(self, text: str) -> set[str]:
        rows = list(csv.reader(lines_of(text)))
        assert all(len(row) == 7 for row in rows)
        assert len({row[0] for row in rows}) == len(rows)
        return {row[1] for row in rows}


class TestZeek(ListFormatContract):
    format = list_format_named("zeek")

    def names(self, row: Row) -> set[str]:
        if row[0] != "url":
            return {row[1]}
        url = ada_url.URL(row[1])
        return {f"{url.host}{url.pathname}{url.search}"}

    def read(self, text: str) -> set[str]:
        head, *rows = text.rstrip("\n").split("\n")
        assert head.split("\t")[0] == ["#fields", "indicator"][0]
        cells = [row.split("\t") for row in rows if row]
        assert all(len(row) == 3 for row in cells)
        return {row[0].replace("\\x5c", "\\") for row in cells}


class TestSuricata(ListFormatContract):
    format = list_format_named("suricata")

    def names(self, row: Row) -> set[str]:
        if row[0] != "url":
            return {row[1]}
        url = ada_url.URL(row[1])
        return {f"{url.hostname}{url.pathname}{url.search}"}

    def read(self, text: str) -> set[str]:
        values = set()
        numbers = set()
        for line in lines_of(text):
            rule = re.fullmatch(r"alert (\w+) any any -> (\S+) any \((.*)\)", line)
            assert rule, line
            options = re.findall(r'([\w.]+)(?::("[^"]*"|[^;"]*))?; ?', rule[3])
            values_by_name = dict(options)
            numbers.add(values_by_name["sid"])
            contents = [self.content(value) for name, value in options if name == "content"]
            sizes = [int(value) for name, value in options if name == "bsize"]
            assert [len(each) for each in contents] == sizes
            values.add("".join(contents) or rule[2])
        assert len(numbers) == len(lines_of(text))
        return values

    def content(self, text: str) -> str:
        return re.sub(r"\|([0-9A-F]{2})\|", lambda match: chr(int(match[1], 16)), text[1:-1])

    def test_numbers_stay_in_the_range_of_the_operator(self) -> None:
        rows = canonical([("ipv4-addr", f"192.0.2.{place}") for place in range(10)])
        version = ListVersion(VERSION.list_id, "x", 9, MOMENT, {"first_sid": "500", "sids": "5"})
        text, account = write(self.format, rows, version)
        assert re.findall(r"sid:(\d+)", text) == ["501", "502", "503", "504"]
        assert account.left_out == {"the range of rule numbers is used up": 6}


class TestStix(ListFormatContract):
    format = list_format_named("stix")

    def names(self, row: Row) -> set[str]:
        return {pattern} if (pattern := pattern_of(row[0], row[1])) else set()

    def read(self, text: str) -> set[str]:
        if "objects" not in json.loads(text):
            return set()  # a bundle of nothing, which the library takes for none
        bundle = stix2.parse(text, allow_custom=False)
        return {each.pattern for each in bundle.objects}

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_it_equals_what_the_library_makes(self, rows: list[Row]) -> None:
        text, _ = write(self.format, rows)
        objects = json.loads(text).get("objects", [])
        assert len({each["id"] for each in objects}) == len(objects)
        for each in objects:
            built = json.loads(stix2.parse(json.dumps(each), allow_custom=False).serialize())
            # The library writes no fraction of a second that is zero.
            moments = [datetime.fromisoformat(own.pop("valid_from")) for own in (built, each)]
            assert moments == [MOMENT, MOMENT]
            assert built == each


def test_every_format_has_a_contract() -> None:
    def subclasses(of: type) -> list[type]:
        return [each for own in of.__subclasses__() for each in (own, *subclasses(own))]

    tested = {
        each.format.name for each in subclasses(ListFormatContract) if hasattr(each, "format")
    }
    assert tested >= set(list_formats())


@pytest.mark.parametrize("count", [0, 1, 2, 65_536])
def test_aggregation_of_runs(count: int) -> None:
    values = [str(ipaddress.ip_address((198 << 24) + number)) for number in range(count)]
    expected = ["198.0.0.0/16"] if count == 65_536 else values
    assert aggregate_ipv4(values) == (["198.0.0.0/31"] if count == 2 else expected)

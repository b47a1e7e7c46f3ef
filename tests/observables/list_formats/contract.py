"""What every list format keeps, and the lists that Hypothesis makes for them."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.observables.list_formats.base import FileAccount, ListFormat, ListVersion, Row
from shared.errors import InvalidInput
from shared.stix import NotAnObservable, normalise, observable_uuid
from shared.stix.vocabulary import ObservableType

MOMENT = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
LABEL = st.text("abcxyz0189-_", min_size=1, max_size=12)
NAMES = st.lists(LABEL, min_size=2, max_size=6).map(lambda labels: ".".join([*labels, "com"]))
LONG_NAMES = st.integers(60, 63).map(lambda size: ".".join(["a" * size] * 3 + ["com"]))
IPV4 = st.integers(0, 2**32 - 1).map(lambda number: ".".join(map(str, number.to_bytes(4, "big"))))
NETWORKS = st.tuples(IPV4, st.integers(8, 31)).map(lambda pair: f"{pair[0]}/{pair[1]}")
IPV6 = st.ip_addresses(v=6).map(str)
NETWORKS6 = st.tuples(IPV6, st.integers(20, 127)).map(lambda pair: f"{pair[0]}/{pair[1]}")
PATHS = st.text("ab/.?=&%;\"'|\\:#*^,+~ä", max_size=20)
URLS = st.tuples(st.sampled_from(["http", "https", "ftp"]), NAMES, PATHS).map(
    lambda parts: f"{parts[0]}://{parts[1]}/{parts[2]}"
)
MACS = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":"))
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=20)
OBSERVABLES = st.one_of(
    st.tuples(st.just("domain-name"), NAMES | LONG_NAMES),
    st.tuples(st.just("ipv4-addr"), IPV4 | NETWORKS),
    st.tuples(st.just("ipv6-addr"), IPV6 | NETWORKS6),
    st.tuples(st.just("url"), URLS),
    st.tuples(st.just("mutex"), TEXTS),
    st.tuples(st.just("user-agent"), st.sampled_from(["=cmd|' /C calc'!A0", "+1", "@x", "#x"])),
    st.tuples(st.just("file-sha256"), st.integers(0, 2**256 - 1).map("{:064x}".format)),
    st.tuples(
        st.just("mac-addr"), st.integers(0, 2**48 - 1).map(lambda n: n.to_bytes(6, "big").hex(":"))
    ),
)


def canonical(pairs: Sequence[tuple[str, str]]) -> list[Row]:
    """The rows of a list: observables as the store has them, each once."""
    rows: dict[UUID, Row] = {}
    for type_, text in pairs:
        try:
            value = normalise(ObservableType(type_), text)
        except NotAnObservable:
            continue
        identity = UUID(bytes=observable_uuid(type_, value))
        if identity not in rows:
            rows[identity] = (type_, value, 20 + len(rows) % 80, len(rows) + 1, MOMENT, identity)
    return list(rows.values())


LISTS = st.lists(OBSERVABLES, max_size=25).map(canonical)
VERSION = ListVersion(UUID(int=5), "bad-hosts", 41, MOMENT)


def write(
    list_format: ListFormat, rows: Sequence[Row], version: ListVersion = VERSION
) -> tuple[str, FileAccount]:
    """The text of a file, written page by page, and the account of its rows."""
    account = FileAccount()
    half = len(rows) // 2
    pieces = list_format.write([rows[:half], rows[half:]], version, account)
    return b"".join(pieces).decode(), account


class ListFormatContract:
    """A test class for a format inherits it.

    Attributes:
        format: the plug-in.
    """

    format: ClassVar[ListFormat]

    def read(self, text: str) -> set[str]:
        """What a reader of the file acts upon, as a model of it: written after its manual."""
        raise NotImplementedError

    def names(self, row: Row) -> set[str]:
        """What an observable names, in the words of the reader."""
        return {row[1]}

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_a_reader_matches_nothing_that_no_observable_names(self, rows: list[Row]) -> None:
        text, _ = write(self.format, rows)
        named = set().union(*(self.names(row) for row in rows))
        assert self.read(text) <= named

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(LISTS)
    def test_every_row_is_an_entry_or_is_counted(self, rows: list[Row]) -> None:
        text, account = write(self.format, rows)
        assert account.entries + sum(account.left_out.values()) == len(rows)
        assert all(account.left_out.values())
        allowed = self.format.types
        foreign = Counter(row[0] for row in rows if allowed and row[0] not in allowed)
        assert sum(foreign.values()) <= sum(account.left_out.values())
        assert write(self.format, rows)[0] == text

    def test_an_unknown_option_is_refused(self) -> None:
        with pytest.raises(InvalidInput):
            self.format.check_options({"colour": "red"})
        for name in self.format.options:
            with pytest.raises(InvalidInput):
                self.format.check_options({name: "a b\n; drop"})

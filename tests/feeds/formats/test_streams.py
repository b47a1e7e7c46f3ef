"""Streams of bytes as lines: blocks, last lines without an end, lines that are too long."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.feeds.formats.csv import CsvFormat
from services.feeds.formats.streams import MAX_LINE, numbered_lines, whole_lines
from services.feeds.formats.text import TextFormat
from tests.feeds.formats.contract import pairs, parse


class Reads(io.BytesIO):
    """A stream that gives at most so many bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(data)
        self._size = size

    def read(self, size=-1):
        return super().read(min(size, self._size) if size > 0 else size)


def lines_of(data: bytes, size: int) -> list[str]:
    return [line for _, lines in numbered_lines(Reads(data, size)) for line in lines]


SIZES = st.sampled_from([7, 1000, MAX_LINE - 1, MAX_LINE, 200_000])
LINES = st.lists(
    st.one_of(
        st.text("ab ,\u00e4", max_size=20),
        st.sampled_from([MAX_LINE - 1, MAX_LINE, MAX_LINE // 2, MAX_LINE // 3]).map("x".__mul__),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=20, deadline=None)
@given(LINES, SIZES, st.sampled_from(["utf-8", "utf-16"]))
def test_lines_are_those_of_the_text_however_it_is_read(lines, size, encoding):
    expected = [*lines[:-1], *([lines[-1]] if lines[-1] else [])]
    document = "\n".join(lines).encode(encoding)
    if len(document) > 2:
        assert lines_of(document, size) == expected


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from([" ", "\t", ",", ";", "|", ", "]),
    st.integers(0, 40),
    SIZES,
    st.sampled_from(["198.51.100.7", "http://one.example.com/a,b;c", "x" * 70_000, '"y z"']),
)
def test_a_long_line_is_cut_between_its_values_however_it_is_read(mark, shift, size, value):
    values = ["z" * shift, *[value] * (MAX_LINE // len(value) + 40)]
    line = mark.join(values)
    document = f"{line}\n{line}\nshort\n{line}".encode()
    expected = lines_of(document, 200_000)
    assert lines_of(document, size) == expected
    assert expected[0] == expected[1] == expected[3]
    assert expected[2] == "short"
    cut = expected[0]
    assert len(cut.encode()) <= MAX_LINE
    if len(value) < 70_000:
        assert len(cut) > MAX_LINE - 100
        rest = cut.removeprefix("z" * shift).replace(value, "")
        assert set(rest) <= set(mark)


def test_a_cut_line_gives_only_whole_values():
    addresses = [f"198.51.{100 + at // 200}.{at % 200 + 20}" for at in range(9_000)]
    for shift in range(16):
        line = " " * shift + " ".join(addresses)
        whole = parse(TextFormat(), f"{line}\n203.0.113.1 203.0.113.2\n".encode())
        assert {value for _, value in pairs(whole)} <= {*addresses, "203.0.113.1", "203.0.113.2"}
        assert any("65,536 bytes" in note for note in whole.notes)


def test_a_cut_row_leaves_no_quote_open():
    document = (
        b'ip,note\n198.51.100.6,a\n198.51.100.7,"' + b"y, " * 30_000 + b'"\n198.51.100.8,"b"\n'
    )
    whole = parse(CsvFormat(), document)
    assert pairs(whole) == [("ipv4-addr", f"198.51.100.{last}") for last in (6, 7, 8)]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize(
    ("document", "format_", "count"),
    [
        ("198.51.100.1\n198.51.100.2 203.0.113.9", TextFormat(), 3),
        ("198.51.100.1 203.0.113.9", TextFormat(), 2),
        ("ip,tag\n198.51.100.7,a", CsvFormat(), 1),
        ("ip\n198.51.100.7", CsvFormat(), 1),
        (
            "198.51.100.7,http://a.example.com/a\n203.0.113.9,http://two.example.com/b",
            CsvFormat(),
            4,
        ),
        ("src=198.51.100.7 dst=n/a\nsrc=198.51.100.8 dst=n/a", TextFormat(), 2),
    ],
)
def test_a_line_end_at_the_end_changes_nothing(document, format_, count, end):
    assert len(parse(format_, (document + end).encode()).indicators) == count


def test_an_empty_stream_has_no_lines():
    assert list(whole_lines(io.BytesIO())) == []
    assert list(whole_lines(io.BytesIO(b"\n"))) == [b""]

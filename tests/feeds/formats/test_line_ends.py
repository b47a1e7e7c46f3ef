"""Line ends of every sort, and none behind the last line: lines stay the same."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats import format_named, guess_format
from services.feeds.formats.streams import numbered_lines
from tests.feeds.formats.contract import Trickle, pairs, parse

ENDS = ("\n", "\r\n", "\r", "\r\r\n")
NOTE = "some of its lines end with a carriage return alone"
LISTS = (
    ("list.txt", ["198.51.100.7", "198.51.100.8", "198.51.100.9"]),
    ("list.txt", ["198.51.100.1", "198.51.100.2 203.0.113.9"]),
    ("x.csv", ["no,ip", "1,198.51.100.1", "2,198.51.100.3", "3,198.51.100.4"]),
    ("x.csv", ["ip,tag", "198.51.100.7,a"]),
    ("x.csv", ["ip", "198.51.100.7"]),
    ("list.txt", ["198.51.100.7,http://one.example.com/a", "203.0.113.9,http://two.example.com/b"]),
    ("x.jsonl", ['{"ip":"198.51.100.7"}', '{"ip":"198.51.100.8"}']),
)


def read(name: str, document: bytes) -> list[tuple[str, str]]:
    format_name, _ = guess_format(name, document[:65536])
    return pairs(parse(format_named(format_name), document))


@pytest.mark.parametrize(("name", "lines"), LISTS)
@given(data=st.data())
def test_any_mixture_of_line_ends_gives_the_same(name, lines, data):
    expected = read(name, "\n".join([*lines, ""]).encode())
    ends = data.draw(st.lists(st.sampled_from(ENDS), min_size=len(lines), max_size=len(lines)))
    ends[-1] = data.draw(st.sampled_from((*ENDS, "")))
    document = "".join(line + end for line, end in zip(lines, ends, strict=True))
    encoding = data.draw(st.sampled_from(("utf-8", "utf-8-sig", "utf-16")))
    if name.endswith(".jsonl"):
        encoding = "utf-8"  # its head is decoded by itself
    assert read(name, document.encode(encoding)) == expected


@given(text=st.text("a\r\n", max_size=60), size=st.integers(1, 7))
def test_lines_do_not_depend_on_the_sizes_of_what_is_read(text, size):
    class Slow(io.BytesIO):
        def read(self, limit=-1):
            return super().read(min(size, limit))

    head = b"x" * 65536 + b"\n"

    def lines(stream):
        return [line.rstrip("\r") for _, block in numbered_lines(stream) for line in block]

    whole = head + text.encode()
    assert lines(Slow(whole)) == lines(io.BytesIO(whole))


def test_a_carriage_return_alone_is_told():
    notes: list[str] = []
    lines = [line for _, block in numbered_lines(Trickle(b"a\rb\nc\r\n"), notes) for line in block]
    assert (lines, notes) == (["a", "b", "c\r"], [NOTE])
    notes.clear()
    list(numbered_lines(io.BytesIO(b"a\r\nb\r\n"), notes))
    assert notes == []

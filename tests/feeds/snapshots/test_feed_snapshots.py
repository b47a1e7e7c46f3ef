"""A snapshot read with the help of the previous one equals the one read from nothing."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO
from uuid import uuid5

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import (
    DroppedItem,
    LinesNotIndependent,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
)
from services.feeds.snapshots import document_parser, snapshot
from services.feeds.snapshots.deduplication import distinct
from services.feeds.snapshots.document_parser import OpenDocument, parser_of
from services.feeds.snapshots.document_reader import TYPES, DocumentReader, Rows
from services.feeds.snapshots.parse_report import ParseReport
from services.feeds.snapshots.snapshot import DamagedSnapshot, FeedSnapshot, compare
from shared.stix.ids import SCO_NAMESPACE


class Letters:
    """A list format: a line is "names=tag", each letter a domain.

    "!" is left out; "?" needs its neighbours.
    """

    name = "letters"
    media = ()
    incremental = True
    notes: Sequence[str] = ()

    def __init__(self, layout: str = "") -> None:
        self.layout = layout
        self.lines_read = 0

    def reader(self, _head: Sequence[str], _options: Mapping[str, Any]) -> "Letters":
        return self

    def read(self, lines: Sequence[str], numbers: Sequence[int]) -> ReadLines:
        result = ReadLines([], [], [])
        self.lines_read += len(lines)
        for at, line in enumerate(lines):
            names, _, tag = line.partition("=")
            if "?" in names:
                raise LinesNotIndependent
            if "!" in names:
                result.dropped.append(DroppedItem(f"line {numbers[at]}", line, "shouted"))
                continue
            for letter in names:
                result.indicators.append(
                    ParsedIndicator("domain-name", f"{letter}.com", tags=(tag,) if tag else ())
                )
                result.lines.append(at)
        return result

    def parse(self, stream: BinaryIO, _options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        lines = stream.read().decode().replace("?", "").split("\n")
        result = self.read(lines, range(1, len(lines) + 1))
        yield ParsedBatch(result.indicators, result.dropped)


def read(
    document: str,
    before: FeedSnapshot | None = None,
    provenance_digest: str = "",
    format_: Letters | None = None,
) -> FeedSnapshot:
    return read_reported(document, before, provenance_digest, format_)[0]


def read_reported(
    document: str,
    before: FeedSnapshot | None = None,
    provenance_digest: str = "",
    format_: Letters | None = None,
) -> tuple[FeedSnapshot, ParseReport]:
    report = ParseReport()
    reader = DocumentReader(provenance_digest, before, report)
    return reader.read_all(parser_of(format_ or Letters(), {}, opener(document))), report


def read_touched(
    document: str, before: FeedSnapshot | None, format_: Letters | None = None
) -> tuple[FeedSnapshot, np.ndarray | None]:
    reader = DocumentReader("", before, ParseReport())
    parse = parser_of(format_ or Letters(), {}, opener(document))
    return reader.read_all(parse), reader.touched


def opener(document: str) -> OpenDocument:
    return lambda: nullcontext(io.BytesIO(document.encode()))


def rows(snapshot: FeedSnapshot) -> list[tuple[int, int, int, bytes]]:
    every = np.arange(len(snapshot))
    lines = snapshot.lines if len(snapshot.lines) else np.zeros(len(snapshot), np.uint64)
    texts = snapshot.indicators(every)
    return list(
        zip(lines.tolist(), snapshot.ids.tolist(), snapshot.kinds.tolist(), texts, strict=True)
    )


def listed(document: str) -> dict[str, tuple[str, ...]]:
    """Domains and tags by the simplest means: the first line that names a domain counts."""
    domains: dict[str, tuple[str, ...]] = {}
    for line in document.split("\n"):
        names, _, tag = line.partition("=")
        for letter in names if "!" not in names else "":
            domains.setdefault(letter, (tag,) if tag else ())
    return domains


def letters(snapshot: FeedSnapshot | None, indices: np.ndarray) -> set[str]:
    assert snapshot is not None
    return {
        msgspec.json.decode(text, type=ParsedIndicator).value[0]
        for text in snapshot.indicators(indices)
    }


lines = st.lists(st.from_regex(r"[a-h!]{0,3}(=[xyz])?", fullmatch=True), max_size=12)
document_series = st.lists(lines.map("\n".join), min_size=2, max_size=4)


@given(document_series)
def test_reading_only_what_is_new_gives_what_reading_everything_gives(documents: list[str]) -> None:
    before: FeedSnapshot | None = None
    for document in documents:
        step, report = read_reported(document, before)
        scratch, whole = read_reported(document)
        assert rows(step) == rows(scratch)
        assert (report.named, report.dropped) == (whole.named, whole.dropped)
        before = step


@given(document_series)
def test_the_difference_is_what_a_naive_comparison_finds(documents: list[str]) -> None:
    before: FeedSnapshot | None = None
    previous: dict[str, tuple[str, ...]] = {}
    for document in documents:
        after, touched = read_touched(document, before)
        difference = compare(before, after, touched)
        present = listed(document)
        after = replace(after, counts=difference.types)
        changed = {letter for letter in present if previous.get(letter) != present[letter]}
        assert letters(after, difference.seen) == changed
        if before is not None:
            assert letters(before, difference.gone) == previous.keys() - present.keys()
        assert (difference.listed, difference.before) == (len(present), len(previous))
        before = after
        previous = present


@given(document_series)
def test_a_snapshot_comes_back_from_its_file(documents: list[str]) -> None:
    with TemporaryDirectory() as folder:
        for document in documents:
            snapshot = read(document)
            snapshot.save(Path(folder, "snapshot"))
            again = FeedSnapshot.load(Path(folder, "snapshot"))
            assert rows(again) == rows(snapshot)
            assert (again.parser_digest, again.provenance_digest, again.types) == (
                snapshot.parser_digest,
                snapshot.provenance_digest,
                TYPES,
            )


def test_lines_that_are_known_are_not_read_again() -> None:
    document = "\n".join(f"{letter}=x" for letter in "abcdefgh")
    before = read(document)
    format_ = Letters()
    after = read(document.replace("c=x", "c=y") + "\ni", before, format_=format_)
    assert format_.lines_read == 2
    assert letters(after, compare(before, after).seen) == {"c", "i"}


def test_an_unchanged_document_gives_the_snapshot_itself() -> None:
    before = read("a\nb=x\nb=x\n!\n")
    assert read("a\nb=x\nb=x\n!\n", before).ids is before.ids


def test_another_layout_reads_everything_again() -> None:
    before = read("a\nb")
    format_ = Letters(layout="other columns")
    after = read("a\nb", before, format_=format_)
    assert format_.lines_read == 2
    assert not len(compare(before, after).seen)


def test_another_provenance_changes_every_row() -> None:
    before = read("a\nb")
    after = read("a\nb", before, provenance_digest="with a tag")
    assert letters(after, compare(before, after).seen) == {"a", "b"}


def test_lines_that_need_their_neighbours_are_read_as_a_whole() -> None:
    snapshot, report = read_reported("!\na?\nb")
    assert rows(snapshot) == [(0, *row[1:]) for row in rows(read("a\nb"))]
    assert report.dropped == {"shouted": 1}


def test_the_file_keeps_the_names_it_always_had(tmp_path: Path) -> None:
    """Files of the version before have to be read, and the other way round."""
    path = tmp_path / "snapshot"
    read("a\nb").save(path)
    with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        head = msgspec.json.decode(stream.read().partition(b"\n")[0])
    assert {"rows", "reading", "saying", "types", "lines", "counts", "scheme"} == set(head)


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "snapshot"
    read("a\nb").save(path)
    if damage is None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)
    else:
        path.write_bytes(damage)
    with pytest.raises(DamagedSnapshot):
        FeedSnapshot.load(path)


@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8))
def test_each_observable_is_sent_once_while_a_document_is_read(blocks: list[list[int]]) -> None:
    def block(numbers: list[int]) -> Rows:
        empty = np.empty(0, np.uint64)
        # Half of the digests share their slot in the table with another one.
        ids = np.array([number % 20 + (number // 20 << 40) for number in numbers], np.uint64)
        texts = [str(number).encode() for number in numbers]
        return Rows(np.empty(0, np.int64), empty, ids, empty, np.empty(0, np.uint8), texts)

    sent = [
        text
        for ids, texts in distinct(map(block, blocks))
        for text in texts
        if len(ids) == len(texts)
    ]
    assert sorted(sent) == sorted(
        {str(number).encode() for numbers in blocks for number in numbers}
    )


class Mutexes(Letters):
    """A line is a mutex; what stands behind a `#` only makes it another line."""

    def read(self, lines: Sequence[str], _numbers: Sequence[int]) -> ReadLines:
        result = ReadLines([], [], [])
        for at, line in enumerate(lines):
            result.indicators.append(ParsedIndicator("mutex", line.partition("#")[0]))
            result.lines.append(at)
        return result


@pytest.mark.parametrize("release", ["the same release", "the next release"])
def test_ids_that_are_made_in_another_way_make_nothing_gone_or_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str
) -> None:
    with monkeypatch.context() as then:
        then.setattr(
            document_parser,
            "observable_uuid",
            lambda _, value: uuid5(SCO_NAMESPACE, f'{{"name":"{value}"}}').bytes,
        )
        then.setattr(snapshot, "SCHEME", 1)
        if release == "the next release":
            then.setattr(document_parser, "version", lambda _: "0.0.9")
        first, _ = read_touched("a#1\nb#1\nc#1", None, Mutexes())
        first.save(tmp_path / "first")
    before = FeedSnapshot.load(tmp_path / "first")
    second, touched = read_touched("a#1\na#2\nb#1\nc#2", before, Mutexes())
    changed = compare(before, second, touched)
    assert (list(changed.seen), list(changed.gone)) == ([], [])
    second.save(tmp_path / "second")
    before = FeedSnapshot.load(tmp_path / "second")
    third, touched = read_touched("a#2\nb#1\nc#2", before, Mutexes())
    changed = compare(before, third, touched)
    assert (list(changed.seen), list(changed.gone)) == ([], [])

"""A version read with the help of the one before it is the version read from nothing; what differs is what changed."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid5

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.feeds.formats.base import (
    DroppedItem,
    LinesNotIndependent,
    ParsedBatch,
    ParsedIndicator,
    ReadLines,
)
from services.feeds.runs.report import RunReport
from services.feeds.snapshots import document_reader, snapshot
from services.feeds.snapshots.deduplication import distinct
from services.feeds.snapshots.document_reader import TYPES, DocumentReader, Rows
from services.feeds.snapshots.snapshot import DamagedSnapshot, FeedSnapshot, compare
from shared.stix.ids import SCO_NAMESPACE


class Letters:
    """A list format of its own: a line is "names=tag", each letter a domain; "!" is left out, "?" wants neighbours."""

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
        found = ReadLines([], [], [])
        self.lines_read += len(lines)
        for at, line in enumerate(lines):
            names, _, tag = line.partition("=")
            if "?" in names:
                raise LinesNotIndependent
            if "!" in names:
                found.dropped.append(DroppedItem(f"line {numbers[at]}", line, "shouted"))
                continue
            for letter in names:
                found.indicators.append(
                    ParsedIndicator("domain-name", f"{letter}.com", tags=(tag,) if tag else ())
                )
                found.lines.append(at)
        return found

    def parse(self, stream: BinaryIO, _options: Mapping[str, Any]) -> Iterator[ParsedBatch]:
        lines = stream.read().decode().replace("?", "").split("\n")
        found = self.read(lines, range(1, len(lines) + 1))
        yield ParsedBatch(found.indicators, found.dropped)


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
) -> tuple[FeedSnapshot, RunReport]:
    report = RunReport()
    reader = reader_of(document, before, provenance_digest, format_, report)
    return reader.version(), report


def read_touched(
    document: str, before: FeedSnapshot | None, format_: Letters | None = None
) -> tuple[FeedSnapshot, np.ndarray | None]:
    reader = reader_of(document, before, "", format_, RunReport())
    return reader.version(), reader.touched


def reader_of(
    document: str,
    before: FeedSnapshot | None,
    provenance_digest: str,
    format_: Letters | None,
    report: RunReport,
) -> DocumentReader:
    reader = DocumentReader(format_ or Letters(), {}, provenance_digest, before, report)
    for _ in reader.read(lambda: nullcontext(io.BytesIO(document.encode()))):
        continue
    return reader


def rows(snapshot: FeedSnapshot) -> list[tuple[int, int, int, bytes]]:
    every = np.arange(len(snapshot))
    lines = snapshot.lines if len(snapshot.lines) else np.zeros(len(snapshot), np.uint64)
    texts = snapshot.indicators(every)
    return list(
        zip(lines.tolist(), snapshot.ids.tolist(), snapshot.kinds.tolist(), texts, strict=True)
    )


def said(document: str) -> dict[str, tuple[str, ...]]:
    """What a document says, by the simplest means: the first line that names a domain counts."""
    found: dict[str, tuple[str, ...]] = {}
    for line in document.split("\n"):
        names, _, tag = line.partition("=")
        for letter in names if "!" not in names else "":
            found.setdefault(letter, (tag,) if tag else ())
    return found


def letters(snapshot: FeedSnapshot | None, indices: np.ndarray) -> set[str]:
    assert snapshot is not None
    return {
        msgspec.json.decode(text, type=ParsedIndicator).value[0]
        for text in snapshot.indicators(indices)
    }


lines = st.lists(st.from_regex(r"[a-h!]{0,3}(=[xyz])?", fullmatch=True), max_size=12)
documents = st.lists(lines.map("\n".join), min_size=2, max_size=4)


@given(documents)
def test_reading_only_what_is_new_gives_what_reading_everything_gives(versions: list[str]) -> None:
    before: FeedSnapshot | None = None
    for document in versions:
        step, report = read_reported(document, before)
        scratch, whole = read_reported(document)
        assert rows(step) == rows(scratch)
        assert (report.named, report.dropped) == (whole.named, whole.dropped)
        before = step


@given(documents)
def test_the_difference_is_what_a_naive_comparison_finds(versions: list[str]) -> None:
    before, known = None, {}
    for document in versions:
        after, touched = read_touched(document, before)
        difference, now = compare(before, after, touched), said(document)
        after = replace(after, counts=difference.types)
        assert letters(after, difference.seen) == {one for one in now if known.get(one) != now[one]}
        if before is not None:
            assert letters(before, difference.gone) == known.keys() - now.keys()
        assert (difference.listed, difference.before) == (len(now), len(known))
        before, known = after, now


@given(documents)
def test_a_version_comes_back_from_its_file(versions: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for document in versions:
            snapshot = read(document)
            snapshot.save(Path(folder, "version"))
            again = FeedSnapshot.load(Path(folder, "version"))
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


def test_an_unchanged_document_gives_the_version_itself() -> None:
    before = read("a\nb=x\nb=x\n!\n")
    assert read("a\nb=x\nb=x\n!\n", before).ids is before.ids


def test_another_layout_reads_everything_again() -> None:
    before = read("a\nb")
    format_ = Letters(layout="other columns")
    after = read("a\nb", before, format_=format_)
    assert format_.lines_read == 2
    assert not len(compare(before, after).seen)


def test_another_saying_says_everything_again() -> None:
    before = read("a\nb")
    after = read("a\nb", before, provenance_digest="with a tag")
    assert letters(after, compare(before, after).seen) == {"a", "b"}


def test_lines_that_need_their_neighbours_are_read_as_a_whole() -> None:
    snapshot, report = read_reported("!\na?\nb")
    assert rows(snapshot) == [(0, *row[1:]) for row in rows(read("a\nb"))]
    assert report.dropped == {"shouted": 1}


@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_a_damaged_file_is_told(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "version"
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
        nothing = np.empty(0, np.uint64)
        # Half of the digests share their slot in the table with another one.
        ids = np.array([number % 20 + (number // 20 << 40) for number in numbers], np.uint64)
        texts = [str(number).encode() for number in numbers]
        return Rows(np.empty(0, np.int64), nothing, ids, nothing, np.empty(0, np.uint8), texts)

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
        found = ReadLines([], [], [])
        for at, line in enumerate(lines):
            found.indicators.append(ParsedIndicator("mutex", line.partition("#")[0]))
            found.lines.append(at)
        return found


@pytest.mark.parametrize("release", ["the same release", "the next release"])
def test_ids_that_are_made_in_another_way_make_nothing_gone_or_new(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, release: str
) -> None:
    with monkeypatch.context() as then:
        then.setattr(
            document_reader,
            "observable_uuid",
            lambda _, value: uuid5(SCO_NAMESPACE, f'{{"name":"{value}"}}').bytes,
        )
        then.setattr(snapshot, "SCHEME", 1)
        if release == "the next release":
            then.setattr(document_reader, "version", lambda _: "0.0.9")
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

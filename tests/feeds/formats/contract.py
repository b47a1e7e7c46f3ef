"""The contract of every format: its tests inherit `FormatContract` and name format and samples."""

import io
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.feeds.formats import Format, MalformedDocument, ParsedBatch
from services.feeds.formats.base import BATCH_SIZE, LineFormat, LinesNotIndependent
from services.feeds.formats.unit_account import UnitAccount
from shared.errors import InvalidInput
from shared.stix import ObservableType, normalise


class Trickle(io.BytesIO):
    """A stream that gives three bytes at a time, as a socket may."""

    def read(self, size=-1):
        return super().read(min(size, 3) if size > 0 else size)


def parse(format_: Format, data: bytes, **options) -> ParsedBatch:
    """The whole document in one batch."""
    whole = ParsedBatch()
    for batch in format_.parse(io.BytesIO(data), options):
        assert len(batch.indicators) + len(batch.dropped) + len(batch.notes) <= BATCH_SIZE * 2
        whole.indicators += batch.indicators
        whole.dropped += batch.dropped
        whole.notes += batch.notes
        if batch.account is not None:
            if whole.account is None:
                whole.account = UnitAccount(batch.account.unit)
            whole.account.add(batch.account)
    check_account(whole.account, bool(whole.indicators))
    return whole


def check_account(account: UnitAccount | None, has_indicators: bool) -> None:
    """Nothing passes in silence: units in = units read + units left out + units of context."""
    assert account is not None
    assert account.unaccounted == 0
    assert has_indicators == bool(account.read)
    assert all(units > 0 for units in (*account.left_out.values(), *account.context.values()))


def pairs(batch: ParsedBatch) -> list[tuple[str, str]]:
    return [(str(record.type), record.value) for record in batch.indicators]


def drops(batch: ParsedBatch) -> list[tuple[str, str]]:
    return [(piece.where, piece.reason) for piece in batch.dropped]


def check(batch: ParsedBatch) -> None:
    for record in batch.indicators:
        assert record.value == normalise(ObservableType(record.type), record.value)
        assert record.confidence is None or 0 <= record.confidence <= 100
        for text in (record.value, record.malware, record.description, record.ref, *record.tags):
            assert "\x00" not in (text or "")
            (text or "").encode()
    for piece in batch.dropped:
        assert piece.where
        assert piece.reason
        assert len(piece.raw) <= 200
        for text in (piece.where, piece.raw, piece.detail):
            assert "\x00" not in text
            text.encode()


class FormatContract:
    """Inherit it in a class `Test…` of the format's own test module."""

    format: ClassVar[Format]
    samples: ClassVar[list[bytes]]
    is_text: ClassVar[bool] = True

    @settings(
        suppress_health_check=[HealthCheck.differing_executors]
    )  # it is inherited, and meant to be
    @given(st.data())
    def test_arbitrary_bytes_are_parsed_or_malformed(self, data):
        sample = data.draw(st.sampled_from(self.samples))
        at = data.draw(st.integers(0, len(sample)))
        to = data.draw(st.integers(at, len(sample)))
        for document in (
            data.draw(st.binary()),
            sample[:at] + data.draw(st.binary(max_size=9)) + sample[to:],
        ):
            try:
                check(parse(self.format, document))
            except MalformedDocument as problem:
                assert problem.where in str(problem)  # noqa: PT017 - both ways out are fine

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(st.data())
    def test_an_incremental_format_fails_at_its_first_batch_or_never(self, data):
        sample = data.draw(st.sampled_from(self.samples))
        cut = data.draw(st.integers(0, len(sample)))
        batches = self.format.parse(
            io.BytesIO((sample * 50)[: len(sample) * 40 + cut] + data.draw(st.binary())), {}
        )
        try:
            next(batches, None)
        except MalformedDocument:
            return
        if self.format.incremental:
            for _ in batches:
                continue

    def test_samples_are_taken(self):
        for sample in self.samples:
            whole = parse(self.format, sample)
            check(whole)
            assert whole.indicators

    def test_the_same_bytes_give_the_same_result(self):
        for sample in self.samples:
            assert parse(self.format, sample) == parse(self.format, sample)
            assert list(self.format.parse(io.BytesIO(sample), {})) == list(
                self.format.parse(Trickle(sample), {})
            )

    def test_a_byte_order_mark_changes_nothing(self):
        for sample in self.samples:
            assert parse(self.format, sample) == parse(self.format, b"\xef\xbb\xbf" + sample)

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
    def test_text_in_another_unicode_encoding_is_the_same_text(self, encoding):
        for sample in self.samples if self.is_text else ():
            whole = parse(self.format, sample.decode().encode(encoding))
            assert pairs(whole) == pairs(parse(self.format, sample))
            assert drops(whole) == drops(parse(self.format, sample))

    def test_it_is_found_by_name_and_content(self):
        from services.feeds.formats import format_named, guess_format

        assert format_named(self.format.name).name == self.format.name
        for sample in self.samples:
            assert guess_format("feed", sample)[0] == self.format.name

    @settings(suppress_health_check=[HealthCheck.differing_executors])
    @given(st.data())
    def test_lines_read_by_themselves_say_what_the_document_says(self, data):
        if not isinstance(self.format, LineFormat):
            return
        sample = data.draw(st.sampled_from(self.samples))
        lines = sample.decode().split("\n")
        reader = self.format.reader(lines[:200], {})
        if reader is None:
            return
        chosen = sorted(data.draw(st.sets(st.sampled_from(range(len(lines))))))
        try:
            result = reader.read([lines[at] for at in chosen], [at + 1 for at in chosen])
            every = reader.read(lines, range(1, len(lines) + 1))
        except LinesNotIndependent:
            return
        whole = parse(self.format, sample)
        assert (every.indicators, every.dropped) == (whole.indicators, whole.dropped)
        assert len(every.dropped_lines) == len(every.dropped)
        assert every.account is not None
        assert every.account.unaccounted == 0
        assert every.account.read == len(set(every.lines))
        places = [chosen[at] for at in result.lines]
        expected = [
            (at, record)
            for at, record in zip(every.lines, every.indicators, strict=True)
            if at in set(chosen)
        ]
        assert list(zip(places, result.indicators, strict=True)) == expected

    def test_an_unknown_option_is_named(self):
        with pytest.raises(InvalidInput, match="colour"):
            parse(self.format, self.samples[0], colour="red")

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (
                b"<!DOCTYPE html>\n<html><head><title>502 Bad\n Gateway</title>",
                'HTML page titled "502 Bad Gateway"',
            ),
            (b"\xef\xbb\xbf <html>", "HTML page"),
            (b"\x1f\x8b\x08\x00abc", "gzip data"),
            (b"PK\x03\x04abc", "zip archive"),
            (b"%PDF-1.7", "PDF"),
            (b"192.0.2.1\n192.0.2.2\n" + b"\x00" * 9, "line 3: a NUL byte at byte 20"),
        ],
    )
    def test_what_is_no_text_is_said_to_be_what_it_is(self, data, words):
        with pytest.raises(MalformedDocument, match=words):
            parse(self.format, data)

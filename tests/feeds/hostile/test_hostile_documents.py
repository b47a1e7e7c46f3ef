"""Hostile documents end within the limits of their child, with a clear outcome."""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.feeds.formats.base import AmbiguousDocument, MalformedDocument
from services.feeds.formats.registry import format_names
from services.feeds.payloads.unpack_job import document_pieces
from services.feeds.previews.comparison import DocumentPreview
from services.feeds.previews.jobs import PreviewOrder, preview_job
from services.feeds.snapshots.document_reader import DocumentReader
from services.feeds.snapshots.parse_job import guess_payload_format, parser_of_payload
from services.feeds.snapshots.parse_report import ParseReport
from shared.errors import InvalidInput, TooLargeInput
from shared.sandbox.limits import JobLimits, ReaderFault, SandboxLimitExceeded, SandboxLimits
from shared.sandbox.pool import SandboxPool
from tests.feeds.formats.test_spreadsheet import opendocument, workbook
from tests.feeds.hostile.corpus import DOCUMENTS, HostileDocument
from tests.shared.documents.book import pdf

LIMITS = JobLimits(seconds=3, wall_seconds=60, result=64 << 20)
CATALOG = Path(__file__).parents[1] / "catalog"


@pytest.fixture(scope="module")
def sandbox() -> SandboxPool:
    errors = (MalformedDocument, AmbiguousDocument, TooLargeInput)
    return SandboxPool("feeds", SandboxLimits(memory=256 << 20), errors=errors)


def preview(sandbox: SandboxPool, order: PreviewOrder, content: bytes) -> DocumentPreview:
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as unpacked:
        source.write(content)
        source.flush()
        files = [source.fileno(), unpacked.fileno()]
        frame = sandbox.call(preview_job, msgspec.msgpack.encode(order), files, LIMITS)
    return msgspec.msgpack.decode(frame, type=DocumentPreview)


def read_for_a_run(sandbox: SandboxPool, document: HostileDocument) -> int:
    """Unpack, guess and parse a document as a run does; the number of its rows."""
    with ExitStack() as stack:
        source = stack.enter_context(tempfile.TemporaryFile())
        source.write(document.make())
        source.seek(0)
        stored = stack.enter_context(tempfile.TemporaryFile())
        compressor = zstandard.ZstdCompressor(level=1)
        with compressor.stream_writer(stored, closefd=False) as sink:
            for piece in document_pieces(sandbox, source, []):
                sink.write(piece)
        stored.flush()
        name = document.format or guess_payload_format(sandbox, stored, "list", LIMITS).format
        parse = parser_of_payload(sandbox, stored, name, document.options, LIMITS)
        return len(DocumentReader("", None, ParseReport()).read_all(parse))


def outcome_of(attempt) -> str:
    try:
        attempt()
    except SandboxLimitExceeded as error:
        return error.cause
    except ReaderFault as error:
        return f"fault: {error.message}"
    except InvalidInput:
        return "refused"
    return "read"


@pytest.mark.parametrize("way", ["preview", "run"])
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_a_hostile_document_ends_within_its_limits(
    sandbox: SandboxPool, document: HostileDocument, way: str
) -> None:
    order = PreviewOrder("list", document.format, dict(document.options))
    started = time.monotonic()
    if way == "preview":
        outcome = outcome_of(lambda: preview(sandbox, order, document.make()))
    else:
        outcome = outcome_of(lambda: read_for_a_run(sandbox, document))
    assert outcome in document.outcomes
    assert time.monotonic() - started < 2 * LIMITS.wall_seconds
    shown = preview(sandbox, PreviewOrder("list", "text", {}), b"192.0.2.1\n")
    assert [record.value for record in shown.records] == ["192.0.2.1"]


def _samples() -> list[bytes]:
    samples = [path.read_bytes()[:4_000] for path in sorted(CATALOG.glob("*.sample"))]
    samples += [workbook(list=[("ip", "count"), ("192.0.2.1", 5)]), opendocument()]
    samples.append(pdf("BT /F 1 Tf (evil.com 45.77.1.2) Tj ET"))
    samples += [document.make() for document in DOCUMENTS[:1]]
    return samples


SAMPLES = _samples()


@st.composite
def mutations(draw: st.DrawFn) -> tuple[bytes, str | None]:
    """A sample with pieces cut, doubled, exchanged or pumped, and a format to read it in."""
    data = bytearray(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        to = min(len(data), at + draw(st.integers(0, 40)))
        kind = draw(st.sampled_from(["cut", "insert", "pump", "swap", "end"]))
        if kind == "cut":
            del data[at:to]
        elif kind == "insert":
            data[at:at] = draw(st.binary(max_size=8))
        elif kind == "pump":
            data[at:to] = bytes(data[at:to]) * draw(st.integers(2, 1_000))
        elif kind == "swap":
            other = draw(st.sampled_from(SAMPLES))
            data[at:to] = other[at : at + draw(st.integers(0, 400))]
        else:
            del data[at:]
    return bytes(data[:100_000]), draw(st.sampled_from([None, None, *format_names()]))


def check_mutation(sandbox: SandboxPool, mutation: tuple[bytes, str | None]) -> None:
    content, format_name = mutation
    order = PreviewOrder("list", format_name, {})
    outcome = outcome_of(lambda: preview(sandbox, order, content))
    assert outcome in {"read", "refused"}, (outcome, format_name, content[:200])


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(mutation=mutations())
def test_mutations_of_samples_are_read_or_refused(
    sandbox: SandboxPool, mutation: tuple[bytes, str | None]
) -> None:
    check_mutation(sandbox, mutation)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
@given(mutation=mutations())
def test_ten_thousand_mutations_are_read_or_refused(
    sandbox: SandboxPool, mutation: tuple[bytes, str | None]
) -> None:
    check_mutation(sandbox, mutation)

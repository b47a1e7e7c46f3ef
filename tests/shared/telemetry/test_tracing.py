"""Every unit of work has a span of its own, in the trace that it continues, recorded or not."""

import re
import sys
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from shared.events import Event
from shared.events.audit import RECORDED, Recorded
from shared.telemetry import tracing
from shared.telemetry.tracing import WorkSpan, configure_tracing, current_ids, current_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture(params=["unrecorded", "recorded"])
def exporter(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InMemorySpanExporter]:
    """Spans that were recorded: none when this process does not record."""
    recorded = InMemorySpanExporter()
    monkeypatch.setattr(tracing._Recording, "tracer", None)
    if request.param == "recorded":
        tracing.record_spans("feeds", "worker", SimpleSpanProcessor(recorded))
    yield recorded
    tracing._Recording.tracer = None


def test_a_span_continues_the_callers_trace(exporter: InMemorySpanExporter) -> None:
    with WorkSpan("fetch", TRACEPARENT, SpanKind.CONSUMER):
        ids = current_ids()
        assert (ids["trace_id"], ids["parent_span_id"]) == (TRACE, PARENT)
        assert current_traceparent() == f"00-{TRACE}-{ids['span_id']}-01"
    for span in exporter.get_finished_spans():
        assert f"{span.context.span_id:016x}" == ids["span_id"]
        assert span.parent is not None
        assert f"{span.parent.span_id:016x}" == PARENT


@pytest.mark.parametrize(
    "traceparent",
    [None, "", "nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01", "00-1-2-3"],
)
def test_without_a_valid_parent_a_trace_begins(
    exporter: InMemorySpanExporter, traceparent: str | None
) -> None:
    traces = set()
    for _ in range(2):
        with WorkSpan("fetch", traceparent, SpanKind.SERVER):
            assert "parent_span_id" not in current_ids()
            assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]", current_traceparent() or "")
            traces.add(current_ids()["trace_id"])
    assert len(traces) == 2
    assert TRACE not in traces


def test_each_span_has_an_id_of_its_own(exporter: InMemorySpanExporter) -> None:
    spans = set()
    for _ in range(3):
        with WorkSpan("fetch", TRACEPARENT, SpanKind.CONSUMER):
            spans.add(current_ids()["span_id"])
    assert len(spans | {PARENT}) == 4


def test_a_span_ends_where_its_block_ends(exporter: InMemorySpanExporter) -> None:
    with WorkSpan("outer", TRACEPARENT, SpanKind.CONSUMER):
        outer = current_ids()
        with WorkSpan("inner", current_traceparent(), SpanKind.CONSUMER):
            assert current_ids()["parent_span_id"] == outer["span_id"]
        assert current_ids() == outer
    assert current_ids() == {}
    assert current_traceparent() is None


def test_events_carry_the_span_that_causes_them(exporter: InMemorySpanExporter) -> None:
    with WorkSpan("fetch", TRACEPARENT, SpanKind.CONSUMER):
        event = Event(RECORDED, Recorded("kim", "feeds.create", "1"), "acme", "/services/feeds")
        assert dict(event.headers())["traceparent"].decode() == current_traceparent()


def test_a_failure_is_the_spans_status(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = InMemorySpanExporter()
    monkeypatch.setattr(tracing._Recording, "tracer", None)
    tracing.record_spans("feeds", "worker", SimpleSpanProcessor(recorded))
    with pytest.raises(ValueError, match="odd"), WorkSpan("a", None, SpanKind.CONSUMER):
        raise ValueError("odd")
    (span,) = recorded.get_finished_spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "ValueError", "an error's text may hold stored values"
    assert span.resource.attributes["service.name"] == "feeds-worker"


def test_nothing_is_recorded_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    configure_tracing("feeds", "api")
    assert tracing._Recording.tracer is None


def test_an_endpoint_without_the_exporters_package_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with structlog.testing.capture_logs() as lines:
        configure_tracing("feeds", "api")
    assert [line["event"] for line in lines] == ["tracing.exporter_missing"]
    assert tracing._Recording.tracer is None


def test_a_caller_does_not_decide_whether_spans_are_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tracing._Recording, "tracer", None)
    recorded = InMemorySpanExporter()
    tracing.record_spans("feeds", "worker", SimpleSpanProcessor(recorded))
    with WorkSpan("fetch", f"00-{TRACE}-{PARENT}-00", SpanKind.SERVER):
        pass
    assert len(recorded.get_finished_spans()) == 1

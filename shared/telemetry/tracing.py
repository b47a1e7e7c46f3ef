"""Traces: one OpenTelemetry span for each HTTP request, batch of Kafka records and Celery task.

A span continues the trace of the `traceparent` that came with the work, and the events and messages
that the work sends carry the span's own. Log lines have the ids of both, so that logs alone show
how work travelled.

By default no span is recorded: a span is its ids and nothing else, and these are made when a log
line, an event or a message needs them, since most requests need none. With
OTEL_EXPORTER_OTLP_ENDPOINT in the environment spans are recorded and sent there. This needs the
package `opentelemetry-exporter-otlp-proto-http`, which is not installed by default; its other
variables work as well.

Sources: https://www.w3.org/TR/trace-context/, https://opentelemetry.io/docs/specs/otel/trace/api/
"""

import os
import random
import threading
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_HEADER: Final = "traceparent"
_NO_CONTEXT: Final = Context()
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_PROPAGATOR: Final = TraceContextTextMapPropagator()


class UnrecordedSpan(NonRecordingSpan):
    """A span with ids and a parent that is not recorded.

    Attributes:
        parent: None at the beginning of a trace.
    """

    def __init__(self, traceparent: str | None) -> None:
        remote = _remote_parent(traceparent)
        parent = None if remote is None else remote.get_span_context()
        # Ids need not be secret. Python seeds `random` anew in a forked process.
        span_id = random.getrandbits(64)
        if parent is None:
            own = SpanContext(
                random.getrandbits(128), span_id, is_remote=False, trace_flags=_SAMPLED
            )
        else:
            own = SpanContext(parent.trace_id, span_id, False, parent.trace_flags)
        super().__init__(own)
        self.parent = parent


class _Recording:
    """Holds the tracer of a process that records."""

    tracer: Tracer | None = None


class WorkSpan:
    """The span of one unit of work, current within a `with` block, or from `start` to `end`.

    Args:
        name: the kind of work, without ids: "POST /v1/feeds", "feeds.tasks.run_feed".
        traceparent: the one that came with the work; without a valid one a trace begins.
        kind: SERVER for a request, CONSUMER for records and messages.
    """

    __slots__ = ("_kind", "_name", "_otel_token", "_span", "_token", "_traceparent")

    def __init__(self, name: str, traceparent: str | None, kind: SpanKind) -> None:
        self._name = name
        self._traceparent = traceparent
        self._kind = kind
        self._span: Span | None = None
        self._token: Token[WorkSpan | None] | None = None
        self._otel_token: Token[Context] | None = None

    def start(self) -> None:
        """Begin the span and make it the current one."""
        if _Recording.tracer is not None:
            parent = _remote_parent(self._traceparent)
            surroundings = (
                _NO_CONTEXT if parent is None else trace.set_span_in_context(parent, _NO_CONTEXT)
            )
            self._span = _Recording.tracer.start_span(self._name, surroundings, self._kind)
            self._otel_token = context.attach(trace.set_span_in_context(self._span))
        self._token = _current.set(self)

    def span(self) -> Span:
        """Return the span itself; one that is not recorded is made when it is first needed."""
        if self._span is None:
            with _making:
                if self._span is None:
                    self._span = UnrecordedSpan(self._traceparent)
        return self._span

    def end(self, error: str | None = None, name: str | None = None) -> None:
        """End the span and restore the one before it.

        Args:
            error: why the work failed, if it did.
            name: a better name, if there is one by now.
        """
        if self._span is not None and self._span.is_recording():
            if name is not None:
                self._span.update_name(name)
            if error is not None:
                self._span.set_status(Status(StatusCode.ERROR, error))
            self._span.end()
        if self._otel_token is not None:
            context.detach(self._otel_token)
            self._otel_token = None
        if self._token is not None:
            _current.reset(self._token)
            self._token = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Not its text: that may hold a statement's values, and spans leave the installation.
        self.end(None if error is None else type(error).__name__)


_current: Final[ContextVar[WorkSpan | None]] = ContextVar("current_work_span", default=None)
_making: Final = threading.Lock()


def current_traceparent() -> str | None:
    """Return the `traceparent` for messages that the current work sends; None without a span."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(_current_span(), _NO_CONTEXT))
    return carrier.get(_HEADER)


def current_ids() -> dict[str, str]:
    """Return the ids of the current span in hexadecimal; empty without a span."""
    span = _current_span()
    own = span.get_span_context()
    if not own.is_valid:
        return {}
    ids = {
        "trace_id": trace.format_trace_id(own.trace_id),
        "span_id": trace.format_span_id(own.span_id),
    }
    parent: SpanContext | None = getattr(span, "parent", None)
    if parent is not None:
        ids["parent_span_id"] = trace.format_span_id(parent.span_id)
    return ids


def configure_tracing(service: str, kind: str) -> None:
    """Record and send this process's spans if the environment names an endpoint.

    Args:
        service: the service's name.
        kind: of process: api, worker, consumer, beat or trends.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        return
    try:
        # Most processes need neither this nor the SDK, and the exporter is not always installed.
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
    except ImportError:
        import structlog  # noqa: PLC0415  # its import takes longer than all of this module

        log = structlog.stdlib.get_logger(__name__)
        log.warning("tracing.exporter_missing", package="opentelemetry-exporter-otlp-proto-http")
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    record_spans(service, kind, BatchSpanProcessor(OTLPSpanExporter()))


def record_spans(service: str, kind: str, processor: "SpanProcessor") -> None:
    """Record this process's spans from now on.

    Args:
        service: the service's name.
        kind: of process.
        processor: receives the spans that have ended.
    """
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415  # most processes record none
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    resource = Resource.create(
        {"service.namespace": "sentineliq", "service.name": f"{service}-{kind}"}
    )
    # A stranger's `traceparent` says whether he records; it must not decide whether we do.
    sampler = None if "OTEL_TRACES_SAMPLER" in os.environ else ALWAYS_ON
    provider = TracerProvider(sampler=sampler, resource=resource)
    provider.add_span_processor(processor)
    _Recording.tracer = provider.get_tracer("sentineliq")


def _current_span() -> Span:
    work = _current.get()
    # Other instrumentation may have begun a span inside a recorded one.
    return trace.get_current_span() if work is None or _Recording.tracer else work.span()


def _remote_parent(traceparent: str | None) -> Span | None:
    if traceparent is None:
        return None
    span = trace.get_current_span(_PROPAGATOR.extract({_HEADER: traceparent}, _NO_CONTEXT))
    return span if span.get_span_context().is_valid else None

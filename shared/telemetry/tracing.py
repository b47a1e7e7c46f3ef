"""W3C Trace Context: one `traceparent` follows the work through HTTP, Kafka and Celery.

Source: https://www.w3.org/TR/trace-context/#traceparent-header
"""

import re
import secrets
from contextvars import ContextVar

import structlog

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def continue_trace(traceparent: str | None) -> str:
    """Go on with the caller's trace, or begin one; later log lines carry its id."""
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
    _current.set(traceparent)
    structlog.contextvars.bind_contextvars(trace_id=traceparent[3:35])
    return traceparent


def current_traceparent() -> str | None:
    """The trace that the work at hand belongs to, if any."""
    return _current.get()

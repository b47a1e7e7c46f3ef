"""Guarded HTTP to servers of others: public addresses, limits, credentials for one origin only."""

from shared.http.client import GuardedClient
from shared.http.decode import Decoder
from shared.http.errors import (
    BadBody,
    ForbiddenTarget,
    TimedOut,
    TooLarge,
    TooManyRedirects,
    Unreachable,
    Untrusted,
    UpstreamStatus,
)
from shared.http.guard import DEFAULT_PORTS, OutboundPolicy, Target, is_public
from shared.http.limits import Limits
from shared.http.response import Download, Headers, Response, StreamedResponse

__all__ = [
    "DEFAULT_PORTS",
    "BadBody",
    "Decoder",
    "Download",
    "ForbiddenTarget",
    "GuardedClient",
    "Headers",
    "Limits",
    "OutboundPolicy",
    "Response",
    "StreamedResponse",
    "Target",
    "TimedOut",
    "TooLarge",
    "TooManyRedirects",
    "Unreachable",
    "Untrusted",
    "UpstreamStatus",
    "is_public",
]

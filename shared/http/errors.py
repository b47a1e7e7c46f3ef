"""The errors of outbound HTTP, and whether another attempt may succeed.

    UpstreamError
    ├── ForbiddenTarget    the address may not be reached           never retried
    ├── TooLarge           the answer is larger than its limit      never retried
    ├── BadBody            the answer's encoding is broken          never retried
    ├── Untrusted          the server's certificate does not verify never retried
    ├── TooManyRedirects   more hops than allowed                   never retried
    ├── Unreachable        no connection, or it broke               retried
    ├── TimedOut           slower than its limit                    retried
    └── UpstreamStatus     a status that is not success             retried after 408, 425, 429, 5xx

Messages name the origin (scheme, host, port), never the path, query or headers, which may contain
secrets.
"""

from typing import Any

from shared.errors import UpstreamError

_RETRYABLE = frozenset({408, 425, 429})


class _Permanent(UpstreamError):
    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message, retryable=False, **details)


class ForbiddenTarget(_Permanent):
    """The URL, its port or an address behind its name may not be reached from here."""

    status = 422
    code = "forbidden-target"


class TooLarge(_Permanent):
    """The answer exceeds a limit on bytes, expanded bytes, ratio or compressed members."""

    code = "upstream-too-large"


class BadBody(_Permanent):
    """The answer's content encoding is unknown or broken, or the body is not JSON."""

    code = "upstream-bad-body"


class Untrusted(_Permanent):
    """The server's certificate does not verify."""

    code = "upstream-untrusted"


class TooManyRedirects(_Permanent):
    """The server redirects more often than allowed."""

    code = "upstream-redirects"


class Unreachable(UpstreamError):
    """There was no connection, or it broke before the answer was complete.

    Attributes:
        may_have_arrived: there was a connection, so that the request may have had its effect.
    """

    code = "upstream-unreachable"
    may_have_arrived = False


class TimedOut(UpstreamError):
    """The server was slower than the connect or the total limit.

    Attributes:
        may_have_arrived: there was a connection, so that the request may have had its effect.
    """

    code = "upstream-timeout"
    may_have_arrived = False


class UpstreamStatus(UpstreamError):
    """The server answered with a status that is not success.

    Args:
        upstream_status: the server's HTTP status; `status` is the one of this platform's API.
        origin: the server, as `scheme://host:port`.
        retry_after: seconds that the server asks to wait.
    """

    code = "upstream-status"

    def __init__(
        self, upstream_status: int, *, origin: str, retry_after: float | None = None
    ) -> None:
        super().__init__(
            f"{origin} answered with HTTP {upstream_status}",
            retryable=upstream_status in _RETRYABLE or upstream_status >= 500,
            retry_after=retry_after,
            upstream_status=upstream_status,
            origin=origin,
        )
        self.upstream_status = upstream_status

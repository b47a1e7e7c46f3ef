"""One tree of errors, and what each becomes at the three edges.

    SentinelIQError            HTTP status   Celery task        Kafka record
    ├── InvalidInput           422           failed             dead letter
    │   └── TooLargeInput      413           failed             dead letter
    ├── Unauthenticated        401           failed             dead letter
    ├── Forbidden              403           failed             dead letter
    ├── NotFound               404           failed             dead letter
    ├── Conflict               409           failed             dead letter
    ├── UpstreamError          502           retried if it may  retried if it may
    └── Unavailable            503           retried            retried, never dropped

Errors carry data; the text is for the person who has to act. Expected failures of other people's systems are
`UpstreamError`; failures of our own database, broker or log are `Unavailable`. Everything else is a bug and looks
like one: HTTP 500, a failed task, a dead letter.
"""

from typing import Any, ClassVar


class SentinelIQError(Exception):
    """The root: a message for people, a stable `code` for programs, and details for both."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    retryable: bool = False
    retry_after: float | None = None
    """Seconds to wait before the next try, when the other side named them."""

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {key: value for key, value in details.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """The error as it is stored in a run, a delivery or a dead letter."""
        return {"code": self.code, "message": self.message, **self.details}


class InvalidInput(SentinelIQError):
    """What was sent cannot be used; `field` or `where` name the place."""

    status, code = 422, "invalid-input"

    def __init__(self, message: str, *, field: str | None = None, **details: Any) -> None:
        super().__init__(message, field=field, **details)


class TooLargeInput(InvalidInput):
    """What was sent is larger than its limit, which the message names."""

    status, code = 413, "too-large"


class Unauthenticated(SentinelIQError):
    """No token, or one that is expired or not ours."""

    status, code = 401, "unauthenticated"


class Forbidden(SentinelIQError):
    """The token's role may not do this."""

    status, code = 403, "forbidden"


class NotFound(SentinelIQError):
    """There is no such thing in this tenant; a foreign tenant's thing looks the same."""

    status, code = 404, "not-found"


class Conflict(SentinelIQError):
    """It contradicts what is already there."""

    status, code = 409, "conflict"


class UpstreamError(SentinelIQError):
    """Somebody else's system failed or refused; `retryable` says whether another try makes sense."""

    status, code = 502, "upstream-error"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = True,
        retry_after: float | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        self.retryable = retryable
        self.retry_after = retry_after


class Unavailable(SentinelIQError):
    """A part of our own (database, broker, log) does not answer right now."""

    status, code = 503, "unavailable"
    retryable = True
    retry_after = 2.0

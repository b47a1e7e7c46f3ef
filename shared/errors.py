"""The tree of errors, and what each becomes in HTTP, Celery and Kafka.

    SentinelIQError            HTTP status   Celery task        Kafka record
    ├── InvalidInput           422           failed             dead letter
    │   └── TooLargeInput      413           failed             dead letter
    ├── Unauthenticated        401           failed             dead letter
    ├── Forbidden              403           failed             dead letter
    │   └── QuotaExceeded      403           failed             dead letter
    ├── RateExceeded           429           failed             dead letter
    ├── NotFound               404           failed             dead letter
    ├── Conflict               409           failed             dead letter
    ├── UpstreamError          502           retried if it may  retried if it may
    └── Unavailable            503           retried            retried, never dropped

Errors carry data; the text is for the person who has to act. Expected failures of other systems are
`UpstreamError`; failures of the platform's database, broker or log are `Unavailable`. All other
exceptions are bugs: HTTP 500, a failed task, a dead letter.
"""

from typing import Any, ClassVar


def storable(text: str) -> str:
    """The text as PostgreSQL can store it, also within JSON.

    A document may bring any characters.
    """
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


class SentinelIQError(Exception):
    """The root: a message for people, a stable `code` for programs, and details for both.

    Attributes:
        retryable: whether another attempt may succeed.
        retry_after: seconds to wait before it, when the other side named them.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    retryable: bool = False
    retry_after: float | None = None

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details = {key: value for key, value in details.items() if value is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return the error as runs, deliveries and dead letters store it."""
        values = {"code": self.code, "message": self.message, **self.details}
        return {
            name: storable(value) if isinstance(value, str) else value
            for name, value in values.items()
        }


class InvalidInput(SentinelIQError):
    """The input cannot be used; `field` or `where` name the place."""

    status = 422
    code = "invalid-input"

    def __init__(self, message: str, *, field: str | None = None, **details: Any) -> None:
        super().__init__(message, field=field, **details)


class TooLargeInput(InvalidInput):
    """The input exceeds a limit, which the message names."""

    status = 413
    code = "too-large"


class Unauthenticated(SentinelIQError):
    """There is no token, or it is not valid."""

    status = 401
    code = "unauthenticated"


class Forbidden(SentinelIQError):
    """The token's role may not do this."""

    status = 403
    code = "forbidden"


class QuotaExceeded(Forbidden):
    """The tenant has as many of something as it may have."""

    code = "quota-exceeded"


class RateExceeded(SentinelIQError):
    """More was used within a time than may be; `retry_after` tells when some is free again."""

    status = 429
    code = "rate-exceeded"
    retryable = True


class NotFound(SentinelIQError):
    """The tenant has no such object; an object of another tenant gives the same error."""

    status = 404
    code = "not-found"


class Conflict(SentinelIQError):
    """The request contradicts the present state."""

    status = 409
    code = "conflict"


class UpstreamError(SentinelIQError):
    """Another system failed or refused; `retryable` tells whether another attempt may succeed."""

    status = 502
    code = "upstream-error"

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
    """A part of the platform (database, broker, log) does not answer at present."""

    status = 503
    code = "unavailable"
    retryable = True
    retry_after = 2.0

"""What goes wrong between the gateway and a service, as problem details name it."""

from shared.errors import RateExceeded, SentinelIQError, Unavailable, UpstreamError


class UpstreamAway(Unavailable):
    """No connection to the service: nothing was sent."""

    def __init__(self, service: str, what: str) -> None:
        super().__init__(f"The service {service} {what}: try again soon.", service=service)


class TooManyUnderWay(RateExceeded):
    """A tenant has used up its share of the connections to a service: nothing was sent."""

    def __init__(self, service: str, count: int) -> None:
        super().__init__(
            f"{count} requests of yours to {service} are under way: wait for some of them.",
            service=service,
        )
        self.retry_after = 1.0


class BrokenUpstream(UpstreamError):
    """The service ended the connection before its answer was whole, or answered no HTTP."""

    def __init__(self, service: str) -> None:
        super().__init__(
            f"The service {service} broke off its answer. Whether it has done what was asked is "
            "not certain.",
            service=service,
        )


class SilentUpstream(SentinelIQError):
    """The service keeps its connection and does not answer."""

    status = 504
    code = "upstream-timeout"
    retryable = True

    def __init__(self, service: str) -> None:
        super().__init__(
            f"The service {service} has not answered in time. Whether it has done what was asked "
            "is not certain.",
            service=service,
        )

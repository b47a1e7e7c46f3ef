"""How much a client may ask of the edge within a time.

A token's requests cost by their kind; requests without a valid token count by the address that
they come from, so that guessing tokens ends soon. The counts are of one process, so that no lost
server opens a door. Answers tell what is left (draft-ietf-httpapi-ratelimit-headers).
"""

import time
from typing import Final, NamedTuple

from limits import RateLimitItem, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from shared.auth import Principal
from shared.errors import RateExceeded
from shared.web.connections import peer_name
from shared.web.rate_limits import cost_of

WINDOW_SECONDS: Final = 5
REFUSALS_PER_MINUTE: Final = 120
"""Requests without a valid token that an address may make."""
ENTRIES_PER_MINUTE: Final = 120
"""Refused requests at the ways in, and sign-ins begun at providers, that an address may make."""
Headers = list[tuple[bytes, bytes]]


class RateState(NamedTuple):
    """What is left of a limit.

    Attributes:
        policy: the limit's name.
        limit: units within the window.
        window: seconds.
        remaining: units that are left.
        reset: seconds until the window ends.
    """

    policy: str
    limit: int
    window: int
    remaining: int
    reset: int

    def headers(self) -> Headers:
        """The standard headers of the limit."""
        return [
            (b"ratelimit-policy", f'"{self.policy}";q={self.limit};w={self.window}'.encode()),
            (b"ratelimit", f'"{self.policy}";r={self.remaining};t={self.reset}'.encode()),
        ]


class EdgeRateLimits:
    """The counts of one process.

    Args:
        rate: units a second for each client; 0 lets every request pass.
    """

    def __init__(self, rate: float) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        units = max(1, round(rate * WINDOW_SECONDS))
        self._client: RateLimitItem | None = (
            RateLimitItemPerSecond(units, WINDOW_SECONDS) if rate else None
        )
        self._refusals = RateLimitItemPerMinute(REFUSALS_PER_MINUTE)
        self._entries = RateLimitItemPerMinute(ENTRIES_PER_MINUTE)

    def take(self, principal: Principal, method: str, path: str) -> RateState | None:
        """Take the units of a request with a token; None where there is no limit.

        Args:
            principal: of the token.
            method: of the request.
            path: of the service, which tells the cost.

        Raises:
            RateExceeded: too few are left.
        """
        return self._take(f"{principal.tenant}/{principal.actor}", cost_of(method, path))

    def take_of_address(self, address: str) -> RateState | None:
        """Take the unit of a request whose credential the service judges.

        Raises:
            RateExceeded: none is left.
        """
        return self._take(f"address/{peer_name(address)}", 1)

    def note_refusal(self, address: str) -> None:
        """Count a request without a valid token.

        Raises:
            RateExceeded: the address has made too many.
        """
        if self._client is None:
            return
        if not self._limiter.hit(self._refusals, peer_name(address)):
            error = RateExceeded("Too many requests without a valid token came from this address.")
            error.retry_after = 60.0
            raise error

    def check_entry(self, address: str) -> None:
        """Let an address try a way in: a sign-in, a link, the logout of a provider.

        Raises:
            RateExceeded: too many requests from there were refused.
        """
        if self._client is not None and not self._limiter.test(self._entries, _entry(address)):
            error = RateExceeded("Too many sign-ins from this address were refused.")
            error.retry_after = 60.0
            raise error

    def note_entry(self, address: str) -> None:
        """Count a request that was refused at a way in, or one that costs what a refusal costs."""
        if self._client is not None:
            self._limiter.hit(self._entries, _entry(address))

    def _take(self, key: str, cost: int) -> RateState | None:
        item = self._client
        if item is None:
            return None
        is_free = self._limiter.hit(item, key, cost=cost)
        stats = self._limiter.get_window_stats(item, key)
        reset = max(1, round(stats.reset_time - time.time()))
        state = RateState("client", item.amount, WINDOW_SECONDS, stats.remaining, reset)
        if not is_free:
            error = RateExceeded(
                f"This client may use {item.amount} units in {WINDOW_SECONDS} s, and this request "
                f"costs {cost}.",
                limit=item.amount,
                cost=cost,
            )
            error.retry_after = float(reset)
            raise error
        return state


def _entry(address: str) -> str:
    return f"entry/{peer_name(address)}"

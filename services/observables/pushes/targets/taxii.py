"""Another TAXII 2.1 server: objects are posted into a collection of it; TAXII 2.1 §5.5 and §4.3."""

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from pydantic import AfterValidator, Field, model_validator

from services.observables.pushes.targets.base import (
    PushedObject,
    SendOutcome,
    StrictModel,
    require_reachable,
)
from services.observables.taxii.media_types import TAXII
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.errors import ForbiddenTarget, UpstreamStatus
from shared.http.guard import DEFAULT_PORTS, Allowance, Target, origin_of
from shared.http.limits import MIB, Limits
from shared.http.response import Response

_LIMITS: Final = Limits(total=20.0, max_bytes=8 * MIB, max_expanded=16 * MIB, redirects=0)
_STATUS_SECONDS: Final = 15.0
"""How long a server may take to look at what it has accepted; afterwards its 202 counts alone."""
_STATUS_PAUSE: Final = 0.5
_MAX_REFUSAL: Final = 500


def _check_address(url: str) -> str:
    try:
        Target.parse(url)
    except ForbiddenTarget as error:
        raise ValueError(str(error)) from None
    parts = urlsplit(url)
    segments = parts.path.rstrip("/").split("/")
    if parts.query or parts.fragment or len(segments) < 3 or segments[-2] != "collections":
        raise ValueError("give a collection's address: https://host/root/collections/ID/")
    return url if url.endswith("/") else f"{url}/"


class TaxiiConfig(StrictModel):
    """The collection of the other server."""

    url: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_check_address)]


class TaxiiCredentials(StrictModel):
    """User and password, or a bearer token; none for a server without logins."""

    username: str | None = Field(None, max_length=300)
    password: str | None = Field(None, max_length=4_000)
    token: str | None = Field(None, max_length=4_000)

    @model_validator(mode="after")
    def _check_pair(self) -> "TaxiiCredentials":
        if (self.username is None) != (self.password is None):
            raise ValueError("give username and password, or neither")
        if self.token is not None and self.username is not None:
            raise ValueError("give username and password, or a token")
        return self


class _Failure(msgspec.Struct):
    """An object that the server did not take."""

    message: str = ""


class _Status(msgspec.Struct):
    """A status resource, as far as it matters here."""

    id: str
    status: str
    failure_count: int = 0
    failures: list[_Failure] = []


class TaxiiTarget:
    """Posts envelopes, and reads in their status what was refused."""

    name = "taxii"
    config = TaxiiConfig
    credentials = TaxiiCredentials

    def place_of(self, config: TaxiiConfig) -> str:
        """See `PushTarget.place_of`."""
        return origin_of(config.url)

    async def check(self, config: TaxiiConfig, allow: tuple[Allowance, ...]) -> None:
        """See `PushTarget.check`."""
        target = Target.parse(config.url)
        await require_reachable(target.host, target.port, allow, DEFAULT_PORTS, "config.url")

    async def send(
        self,
        objects: Sequence[PushedObject],
        config: TaxiiConfig,
        secrets: TaxiiCredentials,
        client: GuardedClient,
    ) -> SendOutcome:
        """See `PushTarget.send`; an envelope that is too large is sent in halves."""
        exchange = _Exchange(config.url, _login(secrets), client)
        return await exchange.send(list(objects))


def _login(secrets: TaxiiCredentials) -> dict[str, str]:
    if secrets.token is not None:
        return {"Authorization": f"Bearer {secrets.token}"}
    if secrets.username is None:
        return {}
    pair = f"{secrets.username}:{secrets.password}".encode()
    return {"Authorization": f"Basic {b64encode(pair).decode()}"}


class _Exchange:
    """Envelopes to one collection.

    Args:
        url: the collection's, with a slash at its end.
        login: the headers that prove who sends.
        client: sends.
    """

    def __init__(self, url: str, login: dict[str, str], client: GuardedClient) -> None:
        self._url = url
        self._login = login
        self._client = client

    async def send(self, objects: list[PushedObject]) -> SendOutcome:
        """Post objects, and wait for their status."""
        body = b'{"objects":[%b]}' % b",".join(each.payload for each in objects)
        answer = await self._request("POST", f"{self._url}objects/", body)
        if answer.status == 413:
            return await self._send_parts(objects)
        return await self._complete(_read_status(answer))

    async def _send_parts(self, objects: list[PushedObject]) -> SendOutcome:
        if len(objects) == 1:
            return SendOutcome(1, "The server takes no object of that size.")
        half = len(objects) // 2
        outcomes = [await self.send(objects[:half]), await self.send(objects[half:])]
        refusals = [each.refusal for each in outcomes if each.refusal]
        return SendOutcome(sum(each.refused for each in outcomes), "".join(refusals[:1]))

    async def _complete(self, status: _Status) -> SendOutcome:
        """Wait until a status is complete, for a while: the server has accepted everything."""
        root = self._url.rstrip("/").rpartition("/collections/")[0]
        waited = 0.0
        while status.status != "complete" and waited < _STATUS_SECONDS:
            await asyncio.sleep(_STATUS_PAUSE)
            waited += _STATUS_PAUSE
            answer = await self._request("GET", f"{root}/status/{_status_id(status)}/")
            if answer.status != 200:
                break
            status = _read_status(answer)
        messages = [failure.message for failure in status.failures if failure.message]
        return SendOutcome(status.failure_count, "".join(messages[:1])[:_MAX_REFUSAL])

    async def _request(self, method: str, url: str, content: bytes | None = None) -> Response:
        headers = {"Accept": TAXII}
        if content is not None:
            headers["Content-Type"] = TAXII
        answer = await self._client.request(
            method,
            url,
            headers=headers,
            content=content,
            auth_headers=self._login,
            limits=_LIMITS,
        )
        if method == "POST" and answer.status not in {202, 413}:
            raise UpstreamStatus(answer.status, origin=origin_of(url), retry_after=_pause(answer))
        return answer


def _pause(answer: Response) -> float | None:
    """The seconds that a server asks to wait, an hour at most."""
    text = answer.headers.get("retry-after") or ""
    return min(float(text), 3_600.0) if text.isascii() and text.isdigit() else None


def _status_id(status: _Status) -> UUID:
    try:
        return UUID(status.id)
    except ValueError:
        raise UpstreamError("The server's status has no id.", retryable=False) from None


def _read_status(answer: Response) -> _Status:
    try:
        return msgspec.json.decode(answer.content, type=_Status)
    except (msgspec.DecodeError, RecursionError):
        raise UpstreamError("The server's answer is no status of TAXII 2.1.") from None

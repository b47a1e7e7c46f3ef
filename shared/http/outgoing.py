"""Outgoing requests: their checks, and the request that follows a redirect."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import version
from typing import Self
from urllib.parse import unquote_plus, urlsplit

import httpcore2

from shared.errors import InvalidInput
from shared.http.decode import ACCEPT_ENCODING
from shared.http.errors import ForbiddenTarget
from shared.http.guard import Target

REDIRECTS = frozenset({301, 302, 303, 307, 308})

_SECRET_NAME = re.compile(r"auth|cookie|cred|key|pass|secret|sig|token", re.IGNORECASE)
_METHOD = re.compile(r"[A-Z]{3,10}")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_RESERVED = frozenset(
    {"host", "connection", "content-length", "te", "trailer", "transfer-encoding", "upgrade"}
)


@cache
def user_agent() -> str:
    """Return the platform's User-Agent."""
    return f"SentinelIQ/{version('sentineliq')}"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request; `redirected` derives the next one."""

    method: str
    target: Target
    headers: Mapping[str, str] = field(repr=False)
    auth_headers: Mapping[str, str] = field(repr=False)
    content: bytes | None = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    """Values of query parameters of the first URL whose names look secret."""
    at_home: bool = True
    """Whether no redirect has led to another origin; a client certificate is sent only then."""

    @classmethod
    def make(
        cls,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        auth_headers: Mapping[str, str] | None,
        content: bytes | None,
    ) -> Self:
        """Check the parts of a request.

        Raises:
            ForbiddenTarget: the URL cannot be fetched.
            InvalidInput: the method or a header is not valid.
        """
        if not _METHOD.fullmatch(method) or method in ("CONNECT", "TRACE"):
            raise InvalidInput(f"{method!r} is not a method that can be sent", field="method")
        plain = dict(headers or {})
        secret = dict(auth_headers or {})
        for name, value in (*plain.items(), *secret.items()):
            _check_header(name, value)
        target = Target.parse(url)
        return cls(method, target, plain, secret, content, _secret_values(target))

    def redirected(self, location: str, status: int) -> Self:
        """Return the request that follows a redirect, without secrets if the origin is another.

        Raises:
            ForbiddenTarget: it leads from https to http, or would send a body to another origin.
        """
        target = Target.parse(location, self.target)
        if (self.target.scheme, target.scheme) == ("https", "http"):
            raise ForbiddenTarget(f"{self.target.origin} redirects from https to http")
        to_get = status == 303 or (status in (301, 302) and self.method == "POST")
        request = self._as_get() if to_get and self.method != "HEAD" else self
        if target.origin == self.target.origin:
            return replace(request, target=target)
        if request.content:
            raise ForbiddenTarget(
                f"{self.target.origin} redirects a request with a body to {target.origin}; "
                "if that is meant, store the new address"
            )
        plain = {
            name: value for name, value in request.headers.items() if not _SECRET_NAME.search(name)
        }
        target = _without(target, self.secrets)
        return replace(request, target=target, headers=plain, auth_headers={}, at_home=False)

    def _as_get(self) -> Self:
        plain = {n: v for n, v in self.headers.items() if not n.lower().startswith("content-")}
        return replace(self, method="GET", headers=plain, content=None)

    def as_httpcore(self, connect: float) -> httpcore2.Request:
        """Convert the request for the transport; `connect` is in seconds."""
        target = self.target
        defaults = {
            "Host": target.authority,
            "User-Agent": user_agent(),
            "Accept-Encoding": ACCEPT_ENCODING,
        }
        own = {**self.headers, **self.auth_headers}
        names = {name.lower() for name in own}
        fields = {name: value for name, value in defaults.items() if name.lower() not in names}
        fields |= own
        if self.content is not None:
            fields["Content-Length"] = str(len(self.content))
        url = httpcore2.URL(
            scheme=target.scheme, host=target.host, port=target.port, target=target.path
        )
        timeouts = {"timeout": {"connect": connect}}
        return httpcore2.Request(
            self.method,
            url,
            headers=list(fields.items()),
            content=self.content,
            extensions=timeouts,
        )


def _check_header(name: str, value: str) -> None:
    if not _NAME.fullmatch(name) or name.lower() in _RESERVED:
        raise InvalidInput(f"the header {name!r} cannot be sent", field="headers")
    if not _VALUE.fullmatch(value):
        raise InvalidInput(
            f"the header {name!r} has a value outside printable ASCII", field="headers"
        )


def _secret_values(target: Target) -> frozenset[str]:
    pairs = (pair.partition("=") for pair in urlsplit(target.path).query.split("&"))
    return frozenset(
        unquote_plus(value) for name, _, value in pairs if value and _SECRET_NAME.search(name)
    )


def _without(target: Target, secrets: frozenset[str]) -> Target:
    """Remove query parameters that repeat a secret; others keep their bytes: they may be signed."""
    before, _, query = target.url.partition("?")
    pairs = [
        pair for pair in query.split("&") if unquote_plus(pair.partition("=")[2]) not in secrets
    ]
    return Target.parse(f"{before}?{'&'.join(pairs)}") if query else target

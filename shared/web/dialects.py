"""Protocols that others define, spoken below a prefix of an API.

Their clients send a token in the ways that they know, and read errors in the protocol's own form.
Everything else is as for our routes: permissions, limits, turns, logs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import msgspec
from fastapi import FastAPI
from starlette.types import Message, Scope, Send

from shared.web.problems import PROBLEM_TYPE

Headers = list[tuple[bytes, bytes]]
_REPLACED: Final = frozenset({b"content-type", b"content-length", b"www-authenticate"})


class Translation(NamedTuple):
    """A problem in the form of a protocol.

    Attributes:
        status: of HTTP.
        media_type: of the body.
        body: the error.
        headers: those that the protocol adds; of a name that the problem has as well, these count.
    """

    status: int
    media_type: str
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Dialect:
    """A protocol below a prefix.

    Attributes:
        prefix: paths that begin with it belong to the protocol.
        translate: makes the protocol's error of a problem (RFC 9457) and its status.
    """

    prefix: str
    translate: Callable[[int, Mapping[str, Any]], Translation]

    def covers(self, path: str) -> bool:
        """Whether a path belongs to the protocol."""
        return path == self.prefix or path.startswith(f"{self.prefix}/")

    def translating(self, send: Send) -> Send:
        """Return a `send` that translates problems and passes everything else on."""
        start: Message | None = None
        pieces: list[bytes] = []

        async def send_translated(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                await _send_translation(send, start, self._translated(start, b"".join(pieces)))

        return send_translated

    def _translated(self, start: Message, body: bytes) -> Translation:
        return self.translate(start["status"], msgspec.json.decode(body))


def speak_dialects(app: FastAPI, dialects: Sequence[Dialect]) -> None:
    """Let an API speak protocols of others, whose routes it has."""
    app.state.dialects = tuple(dialects)


def dialect_of(scope: Scope) -> Dialect | None:
    """The protocol that a request's path belongs to; None of our own routes."""
    dialects: Sequence[Dialect] = getattr(scope["app"].state, "dialects", ())
    return next((dialect for dialect in dialects if dialect.covers(scope["path"])), None)


def _is_problem(start: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(PROBLEM_TYPE.encode())
        for name, value in start.get("headers", ())
    )


async def _send_translation(send: Send, start: Message, translation: Translation) -> None:
    added = {name.lower().encode(): value.encode() for name, value in translation.headers.items()}
    replaced = _REPLACED | added.keys()
    others: Headers = [pair for pair in start["headers"] if pair[0].lower() not in replaced]
    headers: Headers = [
        (b"content-type", translation.media_type.encode()),
        (b"content-length", str(len(translation.body)).encode()),
        *added.items(),
        *others,
    ]
    await send({"type": "http.response.start", "status": translation.status, "headers": headers})
    await send({"type": "http.response.body", "body": translation.body})

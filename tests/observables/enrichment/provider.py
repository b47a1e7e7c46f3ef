"""Providers on loopback, in an event loop on a thread.

They answer thousands of calls a second and record each with its time.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Reply:
    """The answer to a call: at once, after a delay, or a byte each `trickle` seconds."""

    status: int = 200
    body: bytes = b'{"listed": true}'
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    trickle: float = 0.0

    def encoded(self) -> bytes:
        head = [f"HTTP/1.1 {self.status} Reason", f"Content-Length: {len(self.body)}"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\r\n".join(head).encode() + b"\r\n\r\n" + self.body


@dataclass
class ReceivedCall:
    """A call as it arrived."""

    path: str
    at: float
    headers: str


class Providers:
    """Answers `/<provider>/…` by the provider's function of the call, and records every call."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls: list[ReceivedCall] = []
        self.replies: dict[str, Callable[[ReceivedCall], Reply]] = {}
        self.transports: set[asyncio.Transport] = set()

    def base(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.port}/{provider}"

    def queries_of(self, provider: str) -> list[str]:
        """The values that a provider got queries about, in order."""
        return [
            call.path.split("/", 2)[2]
            for call in list(self.calls)
            if call.path.startswith(f"/{provider}/")
        ]

    def times(self, provider: str) -> list[float]:
        return [call.at for call in list(self.calls) if call.path.startswith(f"/{provider}/")]

    def repetitions(self, provider: str) -> dict[str, int]:
        counts = Counter(self.queries_of(provider))
        return {value: count for value, count in counts.items() if count > 1}

    def reply(self, call: ReceivedCall) -> Reply:
        answer = self.replies.get(call.path.split("/", 2)[1])
        return answer(call) if answer else Reply()


class _Connection(asyncio.Protocol):
    def __init__(self, providers: Providers) -> None:
        self.providers = providers
        self.received = b""

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.providers.transports.add(transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self.providers.transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        while b"\r\n\r\n" in self.received:
            head, _, self.received = self.received.partition(b"\r\n\r\n")
            line, _, headers = head.decode().partition("\r\n")
            call = ReceivedCall(line.split(" ")[1], time.time(), headers)
            self.providers.calls.append(call)
            self._answer(self.providers.reply(call))

    def _answer(self, reply: Reply) -> None:
        loop = asyncio.get_running_loop()
        encoded = reply.encoded()
        if reply.trickle:
            for place in range(len(encoded)):
                loop.call_later(
                    reply.delay + place * reply.trickle, self._write, encoded[place : place + 1]
                )
        elif reply.delay:
            loop.call_later(reply.delay, self._write, encoded)
        else:
            self._write(encoded)

    def _write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


@contextmanager
def running_providers() -> Iterator[Providers]:
    """Providers for as long as the block lasts."""
    providers = Providers(0)
    ready = threading.Event()
    ends: list[Callable[[], None]] = []

    async def serve() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: _Connection(providers), "127.0.0.1", 0, backlog=1000
        )
        providers.port = server.sockets[0].getsockname()[1]
        ends.append(lambda: loop.call_soon_threadsafe(over.set))
        ready.set()
        await over.wait()
        server.close()
        for transport in list(providers.transports):
            transport.abort()
        await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(10)
    yield providers
    ends[0]()
    thread.join()


def over_quota_after(calls: int, seconds: float) -> Callable[[ReceivedCall], Reply]:
    """A provider that answers so many calls, then 429 with Retry-After, then again so many."""
    answered = 0
    blocked_until = 0.0

    def answer(call: ReceivedCall) -> Reply:
        nonlocal answered, blocked_until
        if call.at >= blocked_until and answered < calls:
            answered += 1
            return Reply()
        if call.at >= blocked_until:
            answered = 0
            blocked_until = time.time() + seconds
        return Reply(429, b"slow down", {"Retry-After": str(seconds)})

    return answer

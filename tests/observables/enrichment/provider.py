"""Providers on loopback in one event loop on a thread: thousands of calls a second, each one kept with its moment."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Reply:
    """How a call is answered; with a delay, or a byte in so many seconds."""

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
class Called:
    """A call as it arrived."""

    path: str
    at: float
    headers: str


class Providers:
    """Answers `/<provider>/…` by the provider's function of the call; every call is kept."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.calls: list[Called] = []
        self.answering: dict[str, Callable[[Called], Reply]] = {}
        self.transports: set[asyncio.Transport] = set()

    def base(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.port}/{provider}"

    def asked(self, provider: str) -> list[str]:
        """The values that a provider was asked about, in their order."""
        return [
            one.path.split("/", 2)[2]
            for one in list(self.calls)
            if one.path.startswith(f"/{provider}/")
        ]

    def times(self, provider: str) -> list[float]:
        return [one.at for one in list(self.calls) if one.path.startswith(f"/{provider}/")]

    def repeated(self, provider: str) -> dict[str, int]:
        return {value: times for value, times in Counter(self.asked(provider)).items() if times > 1}

    def reply(self, called: Called) -> Reply:
        answer = self.answering.get(called.path.split("/", 2)[1])
        return answer(called) if answer else Reply()


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
            called = Called(line.split(" ")[1], time.time(), headers)
            self.providers.calls.append(called)
            self._answer(self.providers.reply(called))

    def _answer(self, reply: Reply) -> None:
        loop, encoded = asyncio.get_running_loop(), reply.encoded()
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
def providing() -> Iterator[Providers]:
    """Providers for as long as the block lasts."""
    providers, ready = Providers(0), threading.Event()
    ends: list[Callable[[], None]] = []

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
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


def over_quota_after(calls: int, seconds: float) -> Callable[[Called], Reply]:
    """A provider that answers so many calls, then 429 with Retry-After, then again so many."""
    answered, blocked_until = 0, 0.0

    def answer(called: Called) -> Reply:
        nonlocal answered, blocked_until
        if called.at >= blocked_until and answered < calls:
            answered += 1
            return Reply()
        if called.at >= blocked_until:
            answered, blocked_until = 0, time.time() + seconds
        return Reply(429, b"slow down", {"Retry-After": str(seconds)})

    return answer

"""Providers on loopback, as a process: `python -m bench._providers PORT`.

The path says how they answer: `/delay-100/x` after 100 ms, `/dead/x` with 500, `/trickle/x` a byte
a second, `/quota-100/x` with 429 and Retry-After: 1 after each 100 answers.
"""

import asyncio
import sys
import time
from typing import Final, cast

import uvloop

_BODY: Final = b'{"listed": true}'


class _Quota:
    left = 0
    until = 0.0


_quotas: dict[str, _Quota] = {}


def _answer(status: int, body: bytes = _BODY, headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} Reason\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body
    )


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            self._reply(head.split(b" ", 2)[1].decode().split("/")[1])

    def _reply(self, provider: str) -> None:
        kind, _, number = provider.partition("-")
        if kind == "dead":
            self._write(_answer(500, b"dead"))
        elif kind == "trickle":
            for place, byte in enumerate(_answer(200)):
                asyncio.get_running_loop().call_later(place, self._write, bytes([byte]))
        elif kind == "quota":
            self._write(_counted(provider, int(number)))
        else:
            asyncio.get_running_loop().call_later(int(number) / 1000, self._write, _answer(200))

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)


def _counted(provider: str, most: int) -> bytes:
    quota = _quotas.setdefault(provider, _Quota())
    now = time.monotonic()
    if quota.left == 0 and now >= quota.until:
        quota.left = most
        quota.until = 0.0
    if quota.left > 0:
        quota.left -= 1
        if quota.left == 0:
            quota.until = now + 1.0
        return _answer(200)
    return _answer(429, b"later", "Retry-After: 1\r\n")


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        _Connection, "127.0.0.1", port, backlog=1000
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))

"""The process in which Apprise runs, started by `apprise_process`.

Apprise resolves names and connects by itself, and says of a failure only that it was one. So this
process vets every connection when it is opened, reads no more of an answer than we do, follows no
redirects, and notes what servers answered. Apprise is loaded once; each message has a process of
its own, forked from that, so that nothing of one tenant is there when another one's is sent.

The command is `python -P -m services.notifications.channel_types.apprise_child`. On stdin, a Unix
socket, it takes `AppriseOrder`s and answers with `AppriseAnswer`s, each behind its length. It ends
when the socket is closed, or when nothing was asked for some minutes.
"""

import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import apprise
import msgspec
import requests

from services.notifications.channel_types.apprise_orders import (
    LENGTH,
    AppriseAnswer,
    AppriseOrder,
    HttpAnswer,
)
from shared.http.errors import ForbiddenTarget
from shared.http.guard import DEFAULT_PORTS, Allowance, OutboundGrant, OutboundPolicy
from shared.sandbox.child import readable_folders
from shared.sandbox.confinement import confine
from shared.sandbox.limits import MIB, SandboxLimits

IDLE_SECONDS: Final = 300.0
_LIMITS: Final = SandboxLimits(memory=512 * MIB, nice=0)
_MAX_BODY: Final = 64 * 1024
_MAX_LOG: Final = 2_000
_CONNECT_SECONDS: Final = 4.0
_READ_SECONDS: Final = 8.0
_NETWORK_FILES: Final = tuple(
    Path("/etc", name)
    for name in ("hosts", "resolv.conf", "nsswitch.conf", "gai.conf", "host.conf", "services")
)
"""What names are resolved by."""


class _Watch:
    """Vets connections and notes answers in a process that sends one message.

    Args:
        policy: which addresses may be reached.
    """

    def __init__(self, policy: OutboundPolicy) -> None:
        self._policy = policy
        self._names: dict[str, str] = {}
        self.answers: list[HttpAnswer] = []
        self.refusal: str | None = None
        self.may_have_arrived = False

    def install(self) -> None:
        """Put itself between Apprise and the network."""
        vet = self._vet
        connect = socket.socket.connect

        def connect_vetted(connection: socket.socket, address: Any) -> None:
            vet(connection, address)
            connect(connection, address)

        def refuse(*_arguments: Any, **_options: Any) -> Any:
            raise ConnectionRefusedError("only connections for HTTP are opened here")

        patched: Any = socket.socket
        patched.connect = connect_vetted
        for name in ("connect_ex", "bind", "listen", "sendto", "sendmsg"):
            setattr(patched, name, refuse)
        resolve: Any = socket.getaddrinfo
        socket.getaddrinfo = self._noting_names(resolve)
        session: Any = requests.Session
        session.send = self._noting_answers(session.send)
        modules: Any = requests.sessions
        modules.get_netrc_auth = lambda *_arguments, **_options: None

    def _vet(self, connection: socket.socket, address: Any) -> None:
        if connection.family not in (socket.AF_INET, socket.AF_INET6):
            raise ConnectionRefusedError("only addresses of the internet are connected to")
        host = str(address[0])
        port = int(address[1])
        try:
            self._policy.vet(self._names.get(host, host), port, [host.partition("%")[0]])
        except ForbiddenTarget as error:
            self.refusal = error.message
            raise ConnectionRefusedError(error.message) from error

    def _noting_names(self, resolve: Callable[..., Any]) -> Callable[..., Any]:
        """Grants may name hosts: which name an address was resolved from."""

        def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
            entries = resolve(host, *arguments, **options)
            self._names |= {str(entry[4][0]): str(host) for entry in entries}
            return entries

        return getaddrinfo

    def _noting_answers(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def send_noted(session: Any, request: Any, **options: Any) -> Any:
            options |= {
                "stream": True,
                "verify": True,
                "allow_redirects": False,
                "timeout": (_CONNECT_SECONDS, _READ_SECONDS),
                "proxies": {},
            }
            try:
                answer = send(session, request, **options)
                read_bounded(answer)
            except requests.exceptions.SSLError:
                raise
            except requests.exceptions.RequestException as error:
                self.may_have_arrived |= not _was_not_sent(error)
                raise
            self.answers.append(
                HttpAnswer(
                    _origin(answer.url),
                    answer.status_code,
                    answer.headers.get("retry-after", ""),
                    answer.content[:_MAX_LOG],
                )
            )
            return answer

        return send_noted


def read_bounded(answer: Any) -> None:
    """Read an answer's body as far as our limit.

    Raises:
        requests.exceptions.ContentDecodingError: it is larger.
    """
    body = bytearray()
    for piece in answer.iter_content(16 * 1024):
        body += piece
        if len(body) > _MAX_BODY:
            answer.close()
            raise requests.exceptions.ContentDecodingError("the answer is too large")
    answer._content = bytes(body)  # noqa: SLF001  # there is no other way to bound it


def _was_not_sent(error: requests.exceptions.RequestException) -> bool:
    """Whether there was no connection, so that nothing was sent."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    if not isinstance(error, requests.exceptions.ConnectionError):
        return isinstance(error, ValueError)  # an address or header that cannot be sent
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    return type(reason).__name__ in {"NewConnectionError", "NameResolutionError"}


def _origin(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0].rpartition('@')[2]}"


def send_message(order: AppriseOrder) -> AppriseAnswer:
    """Do what an order asks for, once."""
    asset = apprise.AppriseAsset(
        app_id="SentinelIQ",
        app_desc="SentinelIQ",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        async_mode=False,
        secure_logging=True,
        default_service_retry=0,
        plugin_paths=None,
    )
    plugin: Any = apprise.Apprise.instantiate(order.address, asset=asset)
    if plugin is None:
        return AppriseAnswer("INVALID")
    if order.body is None:
        return AppriseAnswer("SUCCESS")
    plugin.verify_certificate = True
    plugin.socket_connect_timeout = _CONNECT_SECONDS
    plugin.socket_read_timeout = _READ_SECONDS
    allow: tuple[Allowance, ...] = tuple(map(OutboundGrant.parse, order.allow))
    watch = _Watch(OutboundPolicy(allow, DEFAULT_PORTS))
    watch.install()
    messenger = apprise.Apprise(asset=asset)
    messenger.add(plugin)
    with messenger.notify(body=order.body, body_format="text", timeout=order.seconds) as result:
        log = " ".join(entry.message for entry in result.logs())
        return AppriseAnswer(
            result.status.name,
            log[:_MAX_LOG],
            tuple(watch.answers),
            watch.refusal,
            watch.may_have_arrived,
        )


def serve(control: socket.socket) -> bool:
    """Take an order, let a process of its own do it; whether there may be another one."""
    ready, _, _ = select.select([control], [], [], IDLE_SECONDS)
    if not ready:
        return False
    head = _receive(control, LENGTH.size)
    content = _receive(control, LENGTH.unpack(head)[0])
    process = os.fork()
    if process == 0:
        _do(control, content)
    _, status = os.waitpid(process, 0)
    if status != 0:
        _answer(
            control, AppriseAnswer("TIMEOUT", "The process that sent it ended.", (), None, True)
        )
    return True


def _do(control: socket.socket, content: bytes) -> None:
    """Send a message, answer, and end this process."""
    code = 1
    try:
        order = msgspec.json.decode(content, type=AppriseOrder)
        signal.alarm(order.seconds + 1)
        answer = send_message(order)
        signal.alarm(0)
        _answer(control, answer)
        code = 0
    finally:
        os._exit(code)


def _answer(control: socket.socket, answer: AppriseAnswer) -> None:
    content = msgspec.json.encode(answer)
    control.sendall(LENGTH.pack(len(content)) + content)


def _receive(control: socket.socket, size: int) -> bytes:
    received = b""
    while len(received) < size:
        piece = control.recv(size - len(received))
        if not piece:
            raise ConnectionResetError("the other end is closed")
        received += piece
    return received


def main() -> None:
    """Serve until the socket is closed, or nothing is asked for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    apprise.Apprise.instantiate("ntfy://localhost/load")  # loads the services
    confine(_LIMITS, [*readable_folders(), *_NETWORK_FILES], has_network=True)
    with socket.socket(fileno=0) as control, suppress(ConnectionError):
        while serve(control):
            pass


if __name__ == "__main__":
    main()

"""The proxy fails as it is told to, and forwards faithfully otherwise."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faults.tcp_proxy import TcpProxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def repeat(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                threading.Thread(target=repeat, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def connect(proxy: TcpProxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def receive(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def test_a_megabyte_passes_in_both_directions_and_the_end_too(echo: int) -> None:
    sent = bytes(range(256)) * 4096
    with TcpProxy("127.0.0.1", echo) as proxy, connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()
        assert receive(connection, len(sent)) == sent
        sender.join()
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_a_frozen_peer_accepts_and_is_silent_and_goes_on_when_it_thaws(echo: int) -> None:
    with TcpProxy("127.0.0.1", echo) as proxy, connect(proxy) as old:
        old.sendall(b"a")
        assert receive(old, 1) == b"a"
        proxy.freeze()
        old.sendall(b"b")
        with connect(proxy) as new:
            new.sendall(b"c")
            for connection in (old, new):
                connection.settimeout(0.3)
                with pytest.raises(TimeoutError):
                    connection.recv(1)
                connection.settimeout(10)
            proxy.thaw()
            assert receive(old, 1) == b"b"
            assert receive(new, 1) == b"c"


def test_a_cut_resets_and_a_new_connection_is_accepted(echo: int) -> None:
    with TcpProxy("127.0.0.1", echo) as proxy:
        with connect(proxy) as connection:
            connection.sendall(b"a")
            assert receive(connection, 1) == b"a"
            assert proxy.connections == 1
            proxy.cut()
            with pytest.raises(ConnectionResetError):
                connection.recv(1)
        with connect(proxy) as connection:
            connection.sendall(b"b")
            assert receive(connection, 1) == b"b"
        assert proxy.accepted == 2


def test_a_connection_ends_after_some_bytes(echo: int) -> None:
    with TcpProxy("127.0.0.1", echo) as proxy, connect(proxy) as connection:
        proxy.cut_after(3)
        connection.sendall(b"abcdef")
        data = b""
        with suppress(ConnectionResetError):
            data = receive(connection, 6)
        assert data in {b"", b"abc"}  # a reset may overtake what came before it
        with suppress(ConnectionResetError):
            assert connection.recv(1) == b""


def test_who_refuses_admits_again(echo: int) -> None:
    with TcpProxy("127.0.0.1", echo) as proxy:
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        proxy.admit()
        with connect(proxy) as connection:
            connection.sendall(b"a")
            assert receive(connection, 1) == b"a"


def test_a_slow_link_delays_each_block(echo: int) -> None:
    with TcpProxy("127.0.0.1", echo) as proxy, connect(proxy) as connection:
        proxy.delay(0.5)
        connection.sendall(b"a")
        connection.settimeout(0.7)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        assert receive(connection, 1) == b"a"


def test_a_reset_on_one_side_reaches_the_other() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        TcpProxy("127.0.0.1", listener.getsockname()[1]) as proxy,
    ):
        client = socket.create_connection(("127.0.0.1", proxy.port))
        server, _ = listener.accept()
        with server:
            server.settimeout(5)
            server.sendall(b"unread")
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with pytest.raises(ConnectionResetError):
                server.recv(1)

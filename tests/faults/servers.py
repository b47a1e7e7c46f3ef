"""A whole stack whose servers can be switched off, and are reached through TCP proxies."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sentineliq.local.ports import Ports
from sentineliq.local.server import LOOPBACK, Server
from sentineliq.local.stack import Stack
from tests.faults.tcp_proxy import TcpProxy

SERVERS = ("postgres", "valkey", "kafka")


@dataclass
class Switch:
    """Lets a server start, or keeps it from starting.

    Attributes:
        proxy: the clients' way to the server.
    """

    proxy: TcpProxy
    _allowed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._allowed.set()

    def turn_off(self) -> None:
        """From now on the server is not started again, once it has ended."""
        self._allowed.clear()

    def turn_on(self) -> None:
        """Let the supervisor start it."""
        self._allowed.set()

    def wait(self) -> None:
        """Return when the server may start."""
        self._allowed.wait()


@dataclass(frozen=True)
class ProxiedServer:
    """A server behind a proxy, which waits for its switch before it starts.

    Args:
        server: the real one.
        switch: its switch.
    """

    server: Server
    switch: Switch

    @property
    def name(self) -> str:
        return self.server.name

    @property
    def url(self) -> str:
        """The server's address, with the proxy's port."""
        own = f"{LOOPBACK}:{self.server.port}"  # type: ignore[attr-defined]
        return self.server.url.replace(own, f"{LOOPBACK}:{self.switch.proxy.port}")

    @property
    def environment(self) -> Mapping[str, str]:
        return self.server.environment

    @property
    def user(self) -> str | None:
        return self.server.user

    @property
    def stop_signal(self) -> Any:
        return self.server.stop_signal

    def prepare(self) -> None:
        """Wait for the switch; let Kafka tell its clients the proxy's address."""
        self.switch.wait()
        self.server.prepare()
        if self.name == "kafka":
            folder: Path = self.server.folder  # type: ignore[attr-defined]
            properties = folder / "server.properties"
            own = f"advertised.listeners=CLIENTS://{LOOPBACK}:"
            lines = [
                f"{own}{self.switch.proxy.port}" if line.startswith(own) else line
                for line in properties.read_text().splitlines()
            ]
            properties.write_text("\n".join(lines) + "\n")

    def command(self) -> list[str]:
        return self.server.command()

    def is_ready(self) -> bool:
        return self.server.is_ready()


@dataclass
class FaultyStack(Stack):
    """A stack on free ports whose servers fail on demand; close it when it has stopped.

    Attributes:
        switches: by the server's name.
    """

    ports: Ports = field(default_factory=Ports.free)
    switches: dict[str, Switch] = field(default_factory=dict)
    _proxies: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in SERVERS:
            proxy = self._proxies.enter_context(TcpProxy(LOOPBACK, self.ports.of(name)))
            self.switches[name] = Switch(proxy)

    def close(self) -> None:
        """Close the proxies."""
        self._proxies.close()

    def _servers(self) -> dict[str, Server]:
        servers = super()._servers()
        return {
            variable: ProxiedServer(server, self.switches[server.name])
            for variable, server in servers.items()
        }

"""The composition root of one machine: its components, their order, and their environment.

with Stack(Path(".sentineliq")).running() as stack:
    print(stack.environment["SENTINELIQ_FEEDS_URL"])
    stack.wait()
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import SecretStr

from sentineliq.local.components import Component, ServerProcess, ServiceProcess
from sentineliq.local.data_dir_lock import locked
from sentineliq.local.environment import store_environment
from sentineliq.local.flower import Flower
from sentineliq.local.kafka import Kafka
from sentineliq.local.kafka_logins import login_settings, present_logins
from sentineliq.local.key_files import key_file, write_key_file
from sentineliq.local.managed_process import OnLine, OnState, ProcessMonitor
from sentineliq.local.orphans import ProcessRegistry
from sentineliq.local.ports import Ports
from sentineliq.local.postgres import Postgres
from sentineliq.local.processes import ForkServer, PythonProcess
from sentineliq.local.secrets import Secrets, load_secrets
from sentineliq.local.server import LOOPBACK, Server, url_with_login
from sentineliq.local.supervisor import Stage, Supervisor
from sentineliq.local.valkey import Valkey
from shared.kafka.rights import ADMINISTRATOR
from shared.keys import OPERATOR, DerivedKeys, granted_keys
from shared.private_files import close_folder, private_files
from shared.service_names import SERVICES

MIGRATIONS = tuple((service, "migrate") for service in SERVICES)
PROCESSES = (
    *((service, kind) for service in SERVICES for kind in ("api", "worker", "consumer")),
    ("observables", "trends"),
    ("scheduler", "beat"),
)


_OF_OPERATORS = frozenset(
    {"SENTINELIQ_SECRET_KEY", "SENTINELIQ_TOKEN"}
    | {f"SENTINELIQ_{service.upper()}_DATABASE_URL" for service in SERVICES}
)
"""Variables that no process of a service needs."""


def _ignore(*_: str) -> None:
    """The default listener."""


@dataclass
class Stack:
    """One machine's SentinelIQ on one data folder.

    Args:
        data_dir: everything it stores; made when missing.
        ports: where its components listen.
        environ: the environment it is started under. With `DATABASE_URL`, `CELERY_BROKER_URL` or
            `KAFKA_BOOTSTRAP_SERVERS` set, that server is used and none is started in its place.
        migrations: (service, kind) to run to the end before the services.
        processes: (service, kind) to keep running.
        package: where a service's package is: `<package>.<service>.__main__` has `main([kind])`.
        preload: the module that the fork server imports.
        on_line: called with a component's name and a line of its output; on the supervisor's
            thread, and must not raise.
        on_state: called with a component's name, its state ("starting", "ready", "ended", "done",
            "stopped") and a detail.
    """

    data_dir: Path
    ports: Ports = field(default_factory=Ports)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    migrations: Sequence[tuple[str, str]] = MIGRATIONS
    processes: Sequence[tuple[str, str]] = PROCESSES
    package: str = "services"
    preload: str = "sentineliq.local.preload"
    on_line: OnLine = _ignore
    on_state: OnState = _ignore
    command_login: ClassVar[str] = OPERATOR
    """The login of commands, and of whoever has the stack's environment."""

    def __post_init__(self) -> None:
        self.data_dir = self.data_dir.expanduser().absolute()

    @cached_property
    def environment(self) -> dict[str, str]:
        """The environment of who runs the installation, secrets included; makes missing ones.

        Processes of services have less: see `process_environment`.
        """
        host = self.environ.get("SENTINELIQ_API_HOST", LOOPBACK)
        is_wildcard = host in {"0.0.0.0", "::", ""}  # noqa: S104  # recognised, not chosen
        reachable = LOOPBACK if is_wildcard else host
        addresses = {
            f"SENTINELIQ_{name.upper()}_URL": f"http://{reachable}:{self.ports.of(name)}"
            for name in SERVICES
        }
        return {
            "SENTINELIQ_SECRET_KEY": self._secrets.secret_key,
            **self.environ,
            **{variable: server.url for variable, server in self._servers().items()},
            **addresses,
            **self.kafka_login(self.command_login),
            "SENTINELIQ_DATA_DIR": str(self.data_dir),
            "SENTINELIQ_API_HOST": host,
        }

    def process_environment(self, service: str, kind: str) -> dict[str, str]:
        """The environment of a service's process: its own keys and logins alone.

        Only the process that migrates has the login of PostgreSQL's superuser besides, and that of
        Kafka's administrator.
        """
        environment = {
            name: value for name, value in self.environment.items() if name not in _OF_OPERATORS
        }
        environment["SENTINELIQ_KEYS"] = str(key_file(self.data_dir, service))
        environment |= self.kafka_login(ADMINISTRATOR if kind == "migrate" else service)
        if kind == "api":
            environment["SENTINELIQ_API_PORT"] = str(self.ports.of(service))
            # The gateway of this stack may tell the services where a request comes from.
            environment.setdefault("SENTINELIQ_GATEWAY_ADDRESSES", f"{LOOPBACK}/32")
        if service == "gateway" and kind == "api":
            flower = self._flower()
            environment["SENTINELIQ_FLOWER_URL"] = flower.url
            environment["FLOWER_BASIC_AUTH"] = flower.login
        own_url = self._database_url(service)
        if own_url is not None:
            if kind != "migrate":
                environment.pop("SENTINELIQ_DATABASE_URL", None)
            name = "SENTINELIQ_SERVICE_DATABASE_URL" if kind == "migrate" else "DATABASE_URL"
            environment[name] = own_url
        return environment

    def _database_url(self, service: str) -> str | None:
        """What a service's login is, unless all use that of an external server."""
        server = self._servers().get("DATABASE_URL")
        if server is not None:
            login = load_secrets(self.data_dir).database_logins[service]
            return url_with_login(server.url, login.name, login.password)
        return self.environ.get(f"SENTINELIQ_{service.upper()}_DATABASE_URL")

    @contextmanager
    def running(self) -> Iterator["Stack"]:
        """Start everything, wait until it is ready, and stop it all at the end.

        On the main thread SIGTERM acts as Ctrl-C. A second Ctrl-C, while it stops, kills every
        process at once.

        Raises:
            StackError: it cannot start; the message says what to do.
        """
        with (
            private_files(),
            locked(self.data_dir),
            _terminate_as_interrupt(),
            _loop_thread() as call,
        ):
            supervisor = self._supervisor()
            try:
                call(supervisor.start)
                yield self
            finally:
                try:
                    call(supervisor.stop)
                except KeyboardInterrupt:
                    call(supervisor.kill)
                    raise

    def wait(self) -> None:
        """Stay until Ctrl-C or SIGTERM (raised as KeyboardInterrupt)."""
        threading.Event().wait()

    @cached_property
    def _secrets(self) -> Secrets:
        close_folder(self.data_dir)
        return load_secrets(self.data_dir)

    def _write_key_files(self) -> None:
        """Give each service its keys, of the secret in the environment if there is one."""
        stored = load_secrets(self.data_dir)
        secret = self.environment["SENTINELIQ_SECRET_KEY"]
        is_stored = secret == stored.secret_key
        keys = stored.keys if is_stored else DerivedKeys(SecretStr(secret))
        for service in SERVICES:
            # Logins of servers that the stack starts may be replaced while it runs.
            urls = {}
            if "DATABASE_URL" in self._servers():
                urls["database_url"] = self._database_url(service) or ""
            if "CELERY_BROKER_URL" in self._servers():
                urls["celery_broker_url"] = self.environment["CELERY_BROKER_URL"]
            if "KAFKA_BOOTSTRAP_SERVERS" in self._servers():
                urls |= login_settings(stored, service)
            write_key_file(self.data_dir, service, granted_keys(service, keys), urls)

    def kafka_login(self, login: str) -> dict[str, str]:
        """The variables of a login at the Kafka that this stack starts; none at another one."""
        if "KAFKA_BOOTSTRAP_SERVERS" not in self._servers():
            return {}
        logins = present_logins(load_secrets(self.data_dir))
        return {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": logins.mechanism,
            "KAFKA_USERNAME": login,
            "KAFKA_PASSWORD": logins.passwords[login],
        }

    @property
    def _shows_tasks(self) -> bool:
        """Whether Flower runs: it does where there is a gateway before it."""
        return ("gateway", "api") in self.processes and self.package == "services"

    def _flower(self) -> Flower:
        broker = self.environment.get("CELERY_BROKER_URL") or self.environment.get(
            "SENTINELIQ_CELERY_BROKER_URL", ""
        )
        password = load_secrets(self.data_dir).flower_password
        return Flower(self.data_dir, self.ports.flower, broker, password)

    def _servers(self) -> dict[str, Server]:
        """The servers to start, by the variable in which clients find their address."""
        servers: dict[str, Server] = {
            "DATABASE_URL": Postgres(
                self.data_dir / "postgres", self.ports.postgres, self._secrets.database_password
            ),
            "CELERY_BROKER_URL": Valkey(
                self.data_dir / "valkey",
                self.ports.valkey,
                self._secrets.valkey_password,
                lambda: load_secrets(self.data_dir).valkey_password,
            ),
            "KAFKA_BOOTSTRAP_SERVERS": Kafka(
                self.data_dir / "kafka",
                self.ports.kafka,
                self.ports.kafka_controller,
                self._secrets.kafka_password,
                lambda: present_logins(load_secrets(self.data_dir)),
                self.environ.get("SENTINELIQ_KAFKA_TOPIC_PREFIX", ""),
            ),
        }
        return {
            variable: server
            for variable, server in servers.items()
            if not (self.environ.get(variable) or self.environ.get(f"SENTINELIQ_{variable}"))
        }

    def _supervisor(self) -> Supervisor:
        registry = ProcessRegistry(self.data_dir / "processes")
        for name in registry.end_orphans():
            self.on_state(name, "stopped", "it was left over from a run that was killed")
        self.ports.require_free(self._listening())
        store_environment(self.data_dir, self.environment)
        self._write_key_files()
        fork_server = ForkServer(self.preload)
        servers = [ServerProcess(server) for server in self._servers().values()]
        migrations = [
            self._service(service, kind, fork_server) for service, kind in self.migrations
        ]
        services: list[Component] = [
            self._service(service, kind, fork_server) for service, kind in self.processes
        ]
        if self._shows_tasks:
            services.append(ServerProcess(self._flower()))
        return Supervisor(
            [
                Stage(servers, grace=4.0),
                Stage(migrations, once=True, at_a_time=2),
                Stage(services),
            ],
            ProcessMonitor(self.on_line, self.on_state, registry),
            fork_server,
        )

    def _listening(self) -> list[str]:
        """The components whose ports must be free."""
        names = [server.name for server in self._servers().values()]
        if "kafka" in names:
            names.append("kafka_controller")
        if self._shows_tasks:
            names.append("flower")
        return names + [service for service, kind in self.processes if kind == "api"]

    def _service(self, service: str, kind: str, fork_server: ForkServer) -> ServiceProcess:
        module = f"{self.package}.{service}.__main__"
        environment = self.process_environment(service, kind)
        process = PythonProcess(f"{service}-{kind}", module, [kind], environment)
        return ServiceProcess(process, fork_server)


@dataclass
class Infrastructure(Stack):
    """PostgreSQL, Valkey and Kafka alone, on free ports by default (for tests)."""

    ports: Ports = field(default_factory=Ports.free)
    migrations: Sequence[tuple[str, str]] = ()
    processes: Sequence[tuple[str, str]] = ()
    command_login: ClassVar[str] = ADMINISTRATOR


@contextmanager
def _loop_thread() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """An event loop on a thread of its own.

    Yields a function that runs a coroutine function there and waits for it.
    """
    loop = asyncio.new_event_loop()
    # The children get a signal when the thread that forked them ends: this one lives until all of
    # them have ended.
    thread = threading.Thread(target=loop.run_forever, name="supervisor", daemon=True)
    thread.start()
    try:
        yield lambda function: asyncio.run_coroutine_threadsafe(function(), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(loop.shutdown_default_executor(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def _terminate_as_interrupt() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts background jobs with SIGINT ignored.
    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

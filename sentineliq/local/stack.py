"""The composition root of one machine: which parts there are, in which order, and what each is told.

with Stack(Path(".sentineliq")).running() as stack:
    print(stack.environment["SENTINELIQ_FEEDS_URL"])
    stack.wait()
"""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sentineliq.local.components import ServerProcess, ServiceProcess
from sentineliq.local.data_dir_lock import locked
from sentineliq.local.errors import StackError
from sentineliq.local.kafka import Kafka
from sentineliq.local.launcher import LOOPBACK, Launcher, write_private
from sentineliq.local.managed_process import OnLine, OnState, ProcessMonitor
from sentineliq.local.orphans import ProcessRegistry
from sentineliq.local.ports import Ports
from sentineliq.local.postgres import Postgres
from sentineliq.local.processes import ForkServer, PythonProcess
from sentineliq.local.secrets import Secrets, load_secrets
from sentineliq.local.supervisor import Stage, Supervisor
from sentineliq.local.valkey import Valkey

SERVICES = ("feeds", "observables", "notifications", "mitre", "scheduler")
MIGRATIONS = tuple((service, "migrate") for service in SERVICES)
PROCESSES = (
    *((service, kind) for service in SERVICES for kind in ("api", "worker", "consumer")),
    ("observables", "trends"),
    ("scheduler", "beat"),
)
_ENVIRONMENT_FILE = "environment.json"


def _nobody(*_: str) -> None:
    """Whoever wants to know passes a function."""


@dataclass
class Stack:
    """One machine's SentinelIQ on one data folder.

    Args:
        data_dir: everything it stores; made when missing.
        ports: where its parts listen.
        environ: the environment it is started under. `DATABASE_URL`, `CELERY_BROKER_URL` and
            `KAFKA_BOOTSTRAP_SERVERS` each leave out the part that they point to.
        migrations: (service, kind) to run to the end before the services.
        processes: (service, kind) to keep running.
        package: where a service's package is: `<package>.<service>.__main__` has `main([kind])`.
        preload: the module that the services' common ancestor imports.
        on_line: called with a part's name and a line of its output; on the supervisor's thread, and must not raise.
        on_state: called with a part's name, its state ("starting", "ready", "ended", "done", "stopped") and a detail.
    """

    data_dir: Path
    ports: Ports = field(default_factory=Ports)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    migrations: Sequence[tuple[str, str]] = MIGRATIONS
    processes: Sequence[tuple[str, str]] = PROCESSES
    package: str = "services"
    preload: str = "sentineliq.local.preload"
    on_line: OnLine = _nobody
    on_state: OnState = _nobody

    def __post_init__(self) -> None:
        self.data_dir = self.data_dir.expanduser().absolute()

    @cached_property
    def environment(self) -> dict[str, str]:
        """What every service process is told, secrets included; makes the secrets when there are none."""
        host = self.environ.get("SENTINELIQ_API_HOST", LOOPBACK)
        reachable = LOOPBACK if host in {"0.0.0.0", "::", ""} else host  # noqa: S104  # recognised, not chosen
        return {
            "SENTINELIQ_SECRET_KEY": self._secrets.secret_key,
            **self.environ,
            **{variable: part.url for variable, part in self._infrastructure().items()},
            **{
                f"SENTINELIQ_{name.upper()}_URL": f"http://{reachable}:{self.ports.of(name)}"
                for name in SERVICES
            },
            "SENTINELIQ_DATA_DIR": str(self.data_dir),
            "SENTINELIQ_API_HOST": host,
        }

    @contextmanager
    def running(self) -> Iterator["Stack"]:
        """Start everything, wait until it is ready, and stop it all at the end.

        On the main thread SIGTERM acts as Ctrl-C. A second Ctrl-C, while it stops, ends every process at once.

        Raises:
            StackError: it cannot start; the message says what to do.
        """
        with locked(self.data_dir), _terminated_as_interrupted(), _loop_thread() as call:
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
        self.data_dir.mkdir(parents=True, exist_ok=True)
        return load_secrets(self.data_dir)

    def _infrastructure(self) -> dict[str, Launcher]:
        """The servers to start, by the variable that clients find them in."""
        secrets, ports = self._secrets, self.ports
        ours: dict[str, Launcher] = {
            "DATABASE_URL": Postgres(
                self.data_dir / "postgres", ports.postgres, secrets.database_password
            ),
            "CELERY_BROKER_URL": Valkey(
                self.data_dir / "valkey", ports.valkey, secrets.valkey_password
            ),
            "KAFKA_BOOTSTRAP_SERVERS": Kafka(
                self.data_dir / "kafka", ports.kafka, ports.kafka_controller
            ),
        }
        return {
            name: part
            for name, part in ours.items()
            if not (self.environ.get(name) or self.environ.get(f"SENTINELIQ_{name}"))
        }

    def _supervisor(self) -> Supervisor:
        register = ProcessRegistry(self.data_dir / "processes")
        for name in register.end_orphans():
            self.on_state(name, "stopped", "it was left over from a run that was killed")
        self.ports.require_free(self._listening())
        # The command line's other commands find the running stack here.
        write_private(self.data_dir / _ENVIRONMENT_FILE, json.dumps(self._told(), indent=2) + "\n")
        fork_server = ForkServer(self.preload)
        return Supervisor(
            [
                Stage(
                    [ServerProcess(launcher) for launcher in self._infrastructure().values()],
                    grace=4.0,
                ),
                Stage(
                    [self._service(*each, fork_server) for each in self.migrations],
                    once=True,
                    at_a_time=2,
                ),
                Stage([self._service(*each, fork_server) for each in self.processes]),
            ],
            ProcessMonitor(self.on_line, self.on_state, register),
            fork_server,
        )

    def _told(self) -> dict[str, str]:
        """The environment without what is not SentinelIQ's."""
        ours = ("SENTINELIQ_", "DATABASE_URL", "CELERY_BROKER_URL", "KAFKA_BOOTSTRAP_SERVERS")
        return {key: value for key, value in self.environment.items() if key.startswith(ours)}

    def _listening(self) -> list[str]:
        servers = [part.name for part in self._infrastructure().values()]
        apis = [service for service, kind in self.processes if kind == "api"]
        return servers + ["kafka_controller"] * ("kafka" in servers) + apis

    def _service(self, service: str, kind: str, fork_server: ForkServer) -> ServiceProcess:
        port = {"SENTINELIQ_API_PORT": str(self.ports.of(service))} if kind == "api" else {}
        environment = {**self.environment, **port}
        name = f"{service}-{kind}"
        return ServiceProcess(
            PythonProcess(name, f"{self.package}.{service}.__main__", [kind], environment),
            fork_server,
        )


@dataclass
class Infrastructure(Stack):
    """PostgreSQL, Valkey and Kafka alone, on free ports unless told (for tests)."""

    ports: Ports = field(default_factory=Ports.free)
    migrations: Sequence[tuple[str, str]] = ()
    processes: Sequence[tuple[str, str]] = ()


def stored_environment(data_dir: Path) -> dict[str, str]:
    """Where the stack of a data folder listens and which secrets it has, as it was last started.

    Raises:
        StackError: it was never started.
    """
    path = data_dir / _ENVIRONMENT_FILE
    try:
        stored: dict[str, str] = json.loads(path.read_text())
    except FileNotFoundError:
        raise StackError(f"nothing was started in {data_dir} yet: run `sentineliq up`") from None
    return stored


@contextmanager
def _loop_thread() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """An event loop on a thread of its own, and how to call a coroutine function there and wait for it."""
    loop = asyncio.new_event_loop()
    # The children get a signal when the thread that forked them ends: this one lives until all have ended.
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
def _terminated_as_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # SIGINT too: a shell starts what it puts into the background with SIGINT ignored.
    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""compose.yaml as running containers: the arguments of each service, its health, start and stop."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.containers.images import PARTS, Image
from tests.containers.podman import Podman

_READY_SECONDS = 240.0
_ENDED_SECONDS = 240.0
_LOG_LINES = "40"
_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9}


@dataclass
class Figures:
    """What was measured of a service.

    Attributes:
        ready_seconds: from the start of its container to its first good health check.
        memory_bytes: when it has nothing to do.
        stop_seconds: from the request to its end.
        exit_code: its own.
    """

    ready_seconds: float | None = None
    memory_bytes: float | None = None
    stop_seconds: float | None = None
    exit_code: int | None = None


@dataclass
class Containers:
    """The services of compose.yaml, each in a container.

    Attributes:
        podman: runs them.
        services: those of compose.yaml, by name.
        networks: those of compose.yaml, by name.
        images: by the name in compose.yaml.
        programs: the folder of the parts' programs.
        figures: what was measured, by service.
    """

    podman: Podman
    services: dict[str, Any]
    networks: dict[str, Any]
    images: dict[str, Image]
    programs: Path
    figures: dict[str, Figures] = field(default_factory=dict)
    _prefix: str = field(default_factory=lambda: f"sentineliq-{uuid4().hex[:8]}")

    @property
    def resident(self) -> list[str]:
        """The services that stay, the parts first."""
        return [name for name in self.services if not self._ends_by_itself(name)]

    def container(self, name: str) -> str:
        """The name of a service's container."""
        return f"{self._prefix}-{name}"

    def make_networks(self) -> None:
        """Make the networks of compose.yaml."""
        for name, network in self.networks.items():
            internal = ["--internal"] if network.get("internal") else []
            self.podman.run("network", "create", *internal, self._network(name))

    def gateway(self, network: str) -> str:
        """The address of this machine in a network."""
        document = self.podman.inspect(self._network(network))
        return str(document["subnets"][0]["gateway"])

    def start(self, names: Iterable[str]) -> None:
        """Start services at once, and wait until each is ready, or has ended with success."""
        chosen = list(names)
        with ThreadPoolExecutor(max(1, len(chosen))) as threads:
            for job in [threads.submit(self._start, name) for name in chosen]:
                job.result()

    def start_all(self) -> None:
        """Start everything, each service after those that it depends on."""
        waiting = dict(self.services)
        while waiting:
            chosen = [
                name
                for name, service in waiting.items()
                if not set(service.get("depends_on", ())) & set(waiting)
            ]
            assert chosen, f"{sorted(waiting)} wait for each other"
            self.start(chosen)
            for name in chosen:
                del waiting[name]

    def _start(self, name: str) -> None:
        started = time.monotonic()
        arguments = self._run_arguments(name)
        self.podman.run("run", "--detach", *arguments, seconds=_READY_SECONDS)
        if self._ends_by_itself(name):
            self._await(name, lambda: self._state(name)["Status"] == "exited", _ENDED_SECONDS)
            code = self._state(name)["ExitCode"]
            assert code == 0, f"{name} ended with {code}\n{self.logs(name)}"
        else:
            self.await_health(name)
        self.figures[name] = Figures(ready_seconds=time.monotonic() - started)

    def await_health(self, name: str) -> None:
        """Wait until the health check of a service succeeds."""
        self._await(name, lambda: self.is_healthy(name), _READY_SECONDS)

    def is_healthy(self, name: str) -> bool:
        """Whether the health check of compose.yaml succeeds, which runs in the container."""
        check = self.services[name]["healthcheck"]
        kind, *words = check["test"]
        command = ["/bin/sh", "-c", words[0]] if kind == "CMD-SHELL" else words
        limit = float(str(check["timeout"]).removesuffix("s"))
        try:
            result = self.podman.attempt("exec", self.container(name), *command, seconds=limit)
        except subprocess.TimeoutExpired:
            return False
        return result.returncode == 0

    def restart(self, name: str) -> None:
        """Stop a service within its grace and start it again; wait until it is ready."""
        self.podman.run("restart", self.container(name), seconds=_READY_SECONDS)
        self.await_health(name)

    def stop(self, name: str) -> None:
        """Stop a service as compose.yaml says, and note how long it takes."""
        started = time.monotonic()
        self.podman.run("stop", self.container(name), seconds=self._grace(name) + 30)
        self.figures[name].stop_seconds = time.monotonic() - started
        self.figures[name].exit_code = int(self._state(name)["ExitCode"])

    def grace(self, name: str) -> float:
        """Seconds that a service has to stop; those of Compose if the file says nothing."""
        return self._grace(name)

    def _grace(self, name: str) -> float:
        return float(str(self.services[name].get("stop_grace_period", "10s")).removesuffix("s"))

    def measure_memory(self) -> None:
        """Note how much memory each service has."""
        names = [self.container(name) for name in self.resident]
        text = self.podman.run("stats", "--no-stream", "--format=json", *names)
        for row in json.loads(text):
            name = str(row["name"]).removeprefix(f"{self._prefix}-")
            self.figures[name].memory_bytes = _bytes(row["mem_usage"].partition("/")[0])

    def python(self, name: str, program: str) -> Any:
        """Run a program in a service's container, as its user; the JSON that it prints."""
        arguments = ["exec", "--interactive", self.container(name), "python", "-"]
        return json.loads(self.podman.run(*arguments, data=program.encode()))

    def published_port(self, name: str) -> int:
        """The port of this machine at which an API is reached."""
        [line] = self.podman.run("port", self.container(name)).splitlines()
        return int(line.rpartition(":")[2])

    def logs(self, name: str) -> str:
        """The end of what a service has printed."""
        result = self.podman.attempt("logs", f"--tail={_LOG_LINES}", self.container(name))
        return (result.stdout + result.stderr).decode(errors="replace")

    def remove(self) -> None:
        """Remove all containers, volumes and networks."""
        for kind, options in (("container", ["--time=0"]), ("volume", []), ("network", [])):
            listing = "{{.Names}}" if kind == "container" else "{{.Name}}"
            words = ["ls", *(["--all"] if kind == "container" else [])]
            names = self.podman.run(kind, *words, f"--format={listing}").split()
            own = [name for name in names if name.startswith(self._prefix)]
            if own:
                self.podman.run(kind, "rm", "--force", *options, *own, seconds=120)

    def _ends_by_itself(self, name: str) -> bool:
        return bool(self.services[name].get("healthcheck", {}).get("disable"))

    def _network(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _state(self, name: str) -> dict[str, Any]:
        return dict(self.podman.inspect(self.container(name))["State"])

    def _await(self, name: str, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, (
                f"{name} is not ready within {seconds} s\n{self.logs(name)}"
            )
            time.sleep(0.3)

    def _run_arguments(self, name: str) -> list[str]:
        """What `podman run` takes for what compose.yaml says of a service."""
        service = self.services[name]
        limits = service["deploy"]["resources"]["limits"]
        arguments = [
            f"--name={self.container(name)}",
            f"--user={service['user']}",
            f"--restart={service['restart']}",
            f"--cpus={limits['cpus']}",
            f"--memory={limits['memory']}",
            f"--pids-limit={limits['pids']}",
            f"--stop-timeout={self._grace(name):.0f}",
            f"--log-driver={service['logging']['driver']}",
            f"--log-opt=max-size={service['logging']['options']['max-size']}",
            *(f"--network={self._network(each)}:alias={name}" for each in service["networks"]),
            *(f"--cap-drop={each}" for each in service["cap_drop"]),
            *(f"--security-opt={each.partition(':')[0]}" for each in service["security_opt"]),
            *(f"--env={key}={value}" for key, value in service.get("environment", {}).items()),
            *(f"--tmpfs={each}" for each in service.get("tmpfs", ())),
            *(f"--volume={self._prefix}-{each}" for each in service.get("volumes", ())),
            *(f"--publish={_free_port(each)}" for each in service.get("ports", ())),
        ]
        if service.get("init"):
            arguments.append("--init")
        if service.get("read_only"):
            arguments += ["--read-only", "--read-only-tmpfs=false"]
        if "stop_signal" in service:
            arguments.append(f"--stop-signal={service['stop_signal']}")
        if "shm_size" in service:
            arguments.append(f"--shm-size={service['shm_size']}")
        if name in PARTS:
            arguments.append(f"--volume={self.programs}:/opt/parts:ro")
        return [*arguments, self.images[service["image"]].name, *service["command"]]


def _free_port(published: str) -> str:
    """A published port, as a free one of this machine: the other may be taken."""
    address, _, port = published.split(":")
    return f"{address}::{port}"


def _bytes(text: str) -> float:
    match = re.match(r"^(?P<number>[\d.]+)(?P<unit>\w+)$", text.strip())
    assert match is not None, text
    return float(match["number"]) * _UNITS[match["unit"]]

"""compose.yaml: it is valid and hardened, and every command in it runs, becomes ready and stops.

No container engine is needed. The commands run as local processes, on the files in the image and
in the environment of compose.yaml; only addresses and folders are this machine's.
"""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
from pydantic import SecretStr

from shared.kafka.logins import BROKER
from shared.kafka.rights import ADMINISTRATOR, LOGINS
from shared.keys import DerivedKeys, KeyBundle, bundle_json, granted_keys
from shared.settings import SERVICES, Settings
from tests.deploy.compose_file import ROOT, TEXT, read_compose

KEYS = DerivedKeys(SecretStr("a-secret-key-for-tests-of-more-than-32-characters"))
SECRETS = {
    "POSTGRES_PASSWORD": "one-of-this-test",
    "VALKEY_PASSWORD": "another-of-this-test",
    **{f"{service.upper()}_KEYS": bundle_json(granted_keys(service, KEYS)) for service in SERVICES},
    "FLOWER_BASIC_AUTH": "operator:for-this-test",
    **{f"{service.upper()}_DATABASE_PASSWORD": f"{service}-of-this-test" for service in SERVICES},
    **{f"KAFKA_PASSWORD_{login.upper()}": f"of-{login}" for login in (BROKER, *LOGINS)},
}
READY_WITHIN = 45.0
"""Seconds."""
STOPPED_WITHIN = 20.0
"""Seconds."""


COMPOSE = read_compose(SECRETS)
ALL: dict[str, dict[str, Any]] = COMPOSE["services"]
PARTS = ("kafka", "valkey", "postgres")
SETUP = "kafka-logins"
OURS = {name: service for name, service in ALL.items() if name not in {*PARTS, SETUP}}
RESIDENT = {name: service for name, service in OURS.items() if not name.endswith("-migrate")}


def each(services: dict[str, dict[str, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", services)


def test_it_follows_the_compose_specification() -> None:
    # The schema ships with check-jsonschema; the package itself need not be imported.
    package = importlib.util.find_spec("check_jsonschema")
    assert package is not None
    assert package.submodule_search_locations is not None
    schema = (
        Path(package.submodule_search_locations[0])
        / "builtin_schemas"
        / "vendor"
        / "compose-spec.json"
    )
    specification = json.loads(schema.read_text())
    jsonschema.validators.validator_for(specification)(specification).validate(COMPOSE)


EXTRA = {"observables-trends", "scheduler-beat", "flower"}


def test_it_has_every_process_of_the_platform() -> None:
    kinds = ("migrate", "api", "worker", "consumer")
    assert set(OURS) == {f"{service}-{kind}" for service in SERVICES for kind in kinds} | EXTRA
    for name, service in OURS.items():
        owner, _, kind = name.partition("-")
        if name != "flower":
            assert service["command"] == [f"services.{owner}", kind]
            assert service["build"]["args"] == {"SERVICE": owner}


@each(OURS)
def test_profiles_select_a_service_or_all(name: str) -> None:
    assert OURS[name]["profiles"] == [name.partition("-")[0], "all"]


@pytest.mark.parametrize("profile", [*SERVICES, "flower"])
def test_a_profile_includes_its_dependencies(profile: str) -> None:
    chosen = {
        name for name, service in ALL.items() if profile in service.get("profiles", [profile])
    }
    assert chosen >= {needed for name in chosen for needed in ALL[name].get("depends_on", ())}


@each(ALL)
def test_resources_are_limited(name: str) -> None:
    assert set(ALL[name]["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert ALL[name]["logging"]["options"]["max-size"]


@each(ALL)
def test_privileges_are_dropped(name: str) -> None:
    service = ALL[name]
    assert service["user"] not in {"root", "0", "0:0"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "devices"} & set(service)
    assert service.get("read_only") or name == "kafka"


@each(OURS)
def test_our_processes_run_as_the_images_user_and_may_take_their_time_to_stop(name: str) -> None:
    user = re.search(r"^USER (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert OURS[name]["user"] == user[1]
    assert float(OURS[name]["stop_grace_period"].removesuffix("s")) > STOPPED_WITHIN


@each(ALL)
def test_health_is_checked(name: str) -> None:
    health = ALL[name]["healthcheck"]
    if name.endswith("-migrate") or name == SETUP:
        waiting = [service for service in OURS.values() if name in service["depends_on"]]
        assert waiting
        for service in waiting:
            assert service["depends_on"][name] == {"condition": "service_completed_successfully"}
    else:
        assert health["test"]
        assert "start_period" in health


@each(ALL)
def test_only_apis_are_published_and_only_on_loopback(name: str) -> None:
    ports = ALL[name].get("ports", [])
    assert bool(ports) == (name.endswith("-api") or name == "flower")
    assert all(port.startswith("127.0.0.1:") for port in ports)


@each({name: service for name, service in OURS.items() if name != "flower"})
def test_each_service_has_its_own_login_and_only_migrations_have_more(name: str) -> None:
    service, _, kind = name.partition("-")
    variables = OURS[name]["environment"]
    own = f"postgresql://sentineliq_{service}_login:{service}-of-this-test@"
    admin = "postgresql://sentineliq:one-of-this-test@"
    if kind == "migrate":
        assert variables["DATABASE_URL"].startswith(admin)
        assert variables["SENTINELIQ_SERVICE_DATABASE_URL"].startswith(own)
    else:
        assert variables["DATABASE_URL"].startswith(own)
        passwords = {SECRETS[key] for key in SECRETS if key.endswith("_DATABASE_PASSWORD")}
        text = json.dumps(variables)
        assert [word for word in passwords if word in text] == [f"{service}-of-this-test"]
        assert "one-of-this-test" not in text


@each({name: service for name, service in OURS.items() if name != "flower"})
def test_each_process_has_the_keys_of_its_service_and_no_secret_to_derive_others(name: str) -> None:
    service = name.partition("-")[0]
    variables = OURS[name]["environment"]
    assert variables["SENTINELIQ_KEYS"] == SECRETS[f"{service.upper()}_KEYS"]
    assert KeyBundle.from_json(variables["SENTINELIQ_KEYS"]).public("tokens", "operator")
    assert "SENTINELIQ_SECRET_KEY" not in TEXT


def test_the_parts_reach_no_other_network() -> None:
    assert COMPOSE["networks"]["parts"] == {"internal": True}
    assert all(ALL[name]["networks"] == ["parts"] for name in PARTS)


def test_apis_find_each_other_where_they_listen() -> None:
    environment = OURS["feeds-api"]["environment"]
    for service in SERVICES:
        assert environment[f"SENTINELIQ_{service.upper()}_URL"] == f"http://{service}-api:8000"
        assert OURS[f"{service}-api"]["ports"][0].endswith(f":{environment['SENTINELIQ_API_PORT']}")


def test_files_of_the_parts_are_their_accounts_alone() -> None:
    # PostgreSQL's are by themselves; our processes set it themselves.
    for name in ("kafka", "valkey"):
        assert "umask 077" in ALL[name]["command"][-1]
    assert "--mode 0700 /data" in (ROOT / "Dockerfile").read_text()


def test_a_missing_secret_stops_everything() -> None:
    insisted = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert insisted == set(SECRETS)
    assert not re.search(r"admin:admin|changeme|password123", TEXT)


class Process:
    """A command of compose.yaml as a process of this machine."""

    def __init__(self, name: str, tree: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.port = free_port()
        variables = {key: str(value) for key, value in OURS[name]["environment"].items()}
        port = "SENTINELIQ_API_PORT" if name.endswith("-api") else "SENTINELIQ_PROBE_PORT"
        variables |= environment | {port: str(self.port)}
        self.log = tree / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.command()],
                cwd=tree,
                env={
                    "PATH": os.environ["PATH"],
                    "HOME": str(tree),
                    "PYTHONPATH": str(tree),
                    **variables,
                },
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def command(self) -> list[str]:
        """The arguments in the image; a fixed port is replaced by a free one of this machine."""
        return [word.replace("5555", str(self.port)) for word in OURS[self.name]["command"]]

    def get(self, path: str) -> int:
        """The status of the response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().status

    def wait_until_ready(self) -> None:
        """Send the request of the health check until it succeeds."""
        probe = re.search(
            r"http://127\.0\.0\.1:\d+((?:/\w+)+)", OURS[self.name]["healthcheck"]["test"][-1]
        )
        assert probe is not None
        deadline = time.monotonic() + READY_WITHIN
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"{self.name} ended early\n{self.log_tail()}"
            with contextlib.suppress(OSError):
                if self.get(probe[1]) == 200:
                    return
            time.sleep(0.1)
        pytest.fail(f"{self.name} is not ready after {READY_WITHIN} s\n{self.log_tail()}")

    def stop(self, within: float) -> int:
        """Wait for the end; the exit code."""
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            pytest.fail(
                f"{self.name} still runs {STOPPED_WITHIN} s after SIGTERM\n{self.log_tail()}"
            )

    def log_tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]


@contextlib.contextmanager
def running(names: list[str], tree: Path, environment: dict[str, str]) -> Iterator[list[Process]]:
    """Run commands side by side; kill those that still run at the end."""
    processes: list[Process] = []
    try:
        for name in names:
            # Not a comprehension: those started so far must stop when one fails to start.
            processes.append(Process(name, tree, environment))  # noqa: PERF401
        yield processes
    finally:
        for process in processes:
            if process.process.poll() is None:
                process.process.kill()
            process.process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def here(settings: Settings, tmp_path: Path) -> dict[str, str]:
    """The variables that differ between a container and this machine."""
    return {
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "CELERY_BROKER_URL": settings.celery_broker_url.get_secret_value(),
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        **_login(settings),
        "SENTINELIQ_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
        "SENTINELIQ_KAFKA_PARTITIONS": "2",
        "SENTINELIQ_DATA_DIR": str(tmp_path / "data"),
        "SENTINELIQ_API_HOST": "127.0.0.1",
        "TMPDIR": str(tmp_path),
    }


def _login(settings: Settings) -> dict[str, str]:
    assert settings.kafka_username is not None
    assert settings.kafka_password is not None
    password = settings.kafka_password.get_secret_value()
    return {"KAFKA_USERNAME": settings.kafka_username, "KAFKA_PASSWORD": password}


def test_each_service_has_its_own_login_at_kafka_and_migrations_that_of_the_administrator() -> None:
    for name, service in OURS.items():
        owner, _, kind = name.partition("-")
        if name == "flower":
            continue
        login = ADMINISTRATOR if kind == "migrate" else owner
        environment = service["environment"]
        assert environment["KAFKA_SECURITY_PROTOCOL"] == "SASL_PLAINTEXT"
        assert environment["KAFKA_USERNAME"] == login
        assert environment["KAFKA_PASSWORD"] == SECRETS[f"KAFKA_PASSWORD_{login.upper()}"]
        others = {value for key, value in SECRETS.items() if key.startswith("KAFKA_PASSWORD_")}
        assert not (others - {environment["KAFKA_PASSWORD"]}) & set(environment.values())
    logins = {name for name in ALL[SETUP]["environment"] if name.startswith("KAFKA_PASSWORD_")}
    assert logins == {f"KAFKA_PASSWORD_{login.upper()}" for login in LOGINS}


def test_kafka_takes_nobody_without_a_login() -> None:
    environment = ALL["kafka"]["environment"]
    protocols = environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
    assert protocols == "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"
    assert environment["KAFKA_AUTHORIZER_CLASS_NAME"].endswith("StandardAuthorizer")
    assert "ALLOW_EVERYONE" not in str(environment)


def image(service: str, folder: Path) -> Path:
    """The code in the service's image, and no more."""
    tree = folder / "image"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "shared", tree / "shared", ignore=ignored)
    shutil.copytree(ROOT / "services" / service, tree / "services" / service, ignore=ignored)
    shutil.copy(ROOT / "services" / "__init__.py", tree / "services")
    return tree


def with_own_login(url: str, service: str) -> str:
    """The database with the login that the migration has made, as compose.yaml names it."""
    login = urlsplit(OURS[f"{service}-api"]["environment"]["DATABASE_URL"])
    address = urlsplit(url)
    place = f"{login.username}:{login.password}@{address.hostname}:{address.port}"
    return address._replace(netloc=place).geturl()


@pytest.mark.slow
@pytest.mark.parametrize("service", SERVICES)
def test_every_command_runs_becomes_ready_and_stops(
    service: str, here: dict[str, str], tmp_path: Path
) -> None:
    tree = image(service, tmp_path)
    with running([f"{service}-migrate"], tree, here) as [migration]:
        assert migration.process.wait(READY_WITHIN) == 0, migration.log_tail()
    names = [name for name in RESIDENT if name.partition("-")[0] == service]
    here["DATABASE_URL"] = with_own_login(here["DATABASE_URL"], service)
    with running(names, tree, here) as processes:
        for process in processes:
            process.wait_until_ready()
        stop_all(processes)


def stop_all(processes: list[Process]) -> None:
    for process in processes:
        process.process.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + STOPPED_WITHIN
    codes = {
        process.name: process.stop(max(0.0, deadline - time.monotonic())) for process in processes
    }
    failed = [process.log_tail() for process in processes if codes[process.name]]
    assert codes == dict.fromkeys(codes, 0), "\n".join(failed)


def test_flower_requires_a_login(here: dict[str, str], tmp_path: Path) -> None:
    environment = {"CELERY_BROKER_URL": here["CELERY_BROKER_URL"]}
    with running(["flower"], tmp_path, environment) as [flower]:
        flower.wait_until_ready()
        assert flower.get("/flower/workers") == 401
        stop_all([flower])

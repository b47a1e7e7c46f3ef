"""compose.yaml in containers: built, started, used, restarted, looked into from inside, stopped.

The tests build on each other and run in this order. `make containers` writes their table into
docs/containers.md.
"""

import os
from itertools import count

import pytest

from shared.sandbox.child import ChildOptions
from shared.sandbox.limits import SandboxLimits
from shared.sandbox.process import SandboxProcess
from shared.settings import SERVICES
from tests.containers import probes
from tests.containers.images import PARTS
from tests.containers.table import figures_table, write_page
from tests.containers.world import World

pytestmark = [pytest.mark.slow, pytest.mark.containers, pytest.mark.timeout(1_800)]

HOOK = "/hook/containers"
_numbers = count(1)
PORTS = {"kafka": 9092, "valkey": 6379, "postgres": 5432}
TEMPORARY = "/tmp"  # noqa: S108  # inside the container
JAVA_ENDED = 128 + 15
"""Java's exit code after it has stopped in order because of SIGTERM."""


def fresh_value() -> str:
    number = next(_numbers)
    return f"45.90.{number // 250}.{number % 250 + 1}"


def own_services(world: World) -> list[str]:
    return [name for name in world.containers.resident if name not in PARTS]


def test_every_service_becomes_ready_under_its_limits(world: World) -> None:
    containers = world.containers
    containers.measure_memory()
    for name in containers.resident:
        service = containers.services[name]
        settings = containers.podman.inspect(containers.container(name))
        assert containers.is_healthy(name)
        assert settings["Config"]["User"] == service["user"]
        assert settings["HostConfig"]["ReadonlyRootfs"] == bool(service.get("read_only"))
        assert (
            settings["HostConfig"]["PidsLimit"] == service["deploy"]["resources"]["limits"]["pids"]
        )
        assert settings["HostConfig"]["Memory"] > 0
        memory = containers.figures[name].memory_bytes
        assert memory is not None
        assert 0 < memory < settings["HostConfig"]["Memory"]


def test_a_feed_that_is_fetched_and_an_upload_reach_a_webhook(world: World) -> None:
    world.subscribe(HOOK)
    values = [fresh_value(), fresh_value()]
    world.serve_list(values[0])
    world.upload(values[1])
    world.await_notices(HOOK, values)


def test_nothing_is_lost_while_each_container_restarts(world: World) -> None:
    values = []
    for name in world.containers.resident:
        values += [fresh_value(), fresh_value()]
        world.serve_list(values[-2])
        world.upload(values[-1])
        world.containers.restart(name)
    world.await_notices(HOOK, values)


def test_a_process_has_no_privilege_and_sees_its_own_container_alone(world: World) -> None:
    for name in own_services(world):
        account = world.containers.python(name, probes.ACCOUNT)
        user = world.containers.services[name]["user"]
        assert f"{account['uid']}:{account['gid']}" == user
        assert set(account["capabilities"]) == {"0" * 16}, name
        assert account["no_new_privileges"] == "1"
        assert account["seccomp"] == "2"
        assert not {"postgres", "java", "valkey-server"} & set(account["processes"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_process_reads_and_writes_its_own_files_alone(world: World, service: str) -> None:
    files = world.containers.python(f"{service}-worker", probes.FILES)
    allowed = {folder for folder, answer in files["writes"].items() if answer == "yes"}
    assert sorted(allowed) == ["/data", TEMPORARY], files["writes"]
    readable = {path for path, answer in files["reads"].items() if answer == "yes"}
    assert not readable
    assert files["services"] == [service]
    assert files["data"] == "0o700"
    assert files["open"] == []


def test_a_service_reaches_the_parts_and_parts_reach_nothing_outside(world: World) -> None:
    host, port = world.outside.url.removeprefix("http://").split(":")
    places = [*PORTS.items(), (host, int(port))]
    worker = world.containers.python("feeds-worker", probes.REACHES.format(places=places))
    assert worker == [True] * 4
    # Kafka's image has no Python of ours, and that of the others neither, but for their base.
    for part in PARTS:
        program = probes.REACHES.format(places=[(host, int(port)), ("feeds-api", 8000)])
        assert world.containers.python(part, program) == [False, True]
    assert world.containers.published_port("feeds-api") > 0
    for part in PARTS:
        assert world.containers.podman.run("port", world.containers.container(part)) == ""


def test_children_that_read_documents_are_confined_as_outside_of_containers(world: World) -> None:
    child = SandboxProcess(ChildOptions(SandboxLimits()))
    try:
        child.wait_until_ready()
        assert world.containers.python("feeds-worker", probes.SANDBOX) == child.holds
    finally:
        child.close()


def test_everything_stops_within_its_grace(world: World) -> None:
    containers = world.containers
    for name in reversed(containers.resident):
        containers.stop(name)
    table = figures_table(containers)
    print(table)  # noqa: T201  # for whoever reads a run's log
    for name in containers.resident:
        figures = containers.figures[name]
        assert figures.stop_seconds is not None
        assert figures.stop_seconds < containers.grace(name) + 5, table
        in_order = {0, JAVA_ENDED} if name == "kafka" else {0}
        assert figures.exit_code in in_order, f"{name}\n{containers.logs(name)}\n{table}"
    if os.environ.get("SENTINELIQ_CONTAINERS_PAGE") == "write":
        write_page(table)

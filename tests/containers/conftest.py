"""The whole of compose.yaml in containers, once for all tests of this folder."""

import runpy
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.images import ROOT, build_images, copy_programs
from tests.containers.installation import Containers
from tests.containers.podman import Podman, PodmanError, missing_programs
from tests.containers.world import World
from tests.deploy.compose_file import read_compose
from tests.faults.receivers import Outside

_BENCH = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
"""Where Podman's networks are, in which the provider and the receiver of this test listen."""


@pytest.fixture(scope="session")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Podman:
    """Podman, if it can run a container here."""
    missing = missing_programs()
    if sys.platform != "linux" or missing:
        pytest.skip(f"NO CONTAINER WAS TRIED: {', '.join(missing) or 'no Linux'} is missing")
    podman = Podman(tmp_path_factory.mktemp("podman"))
    try:
        podman.run("info")
        _run_empty(podman, tmp_path_factory.mktemp("empty"))
    except PodmanError as error:
        pytest.skip(f"NO CONTAINER WAS TRIED: podman cannot run one here: {error}")
    return podman


def _run_empty(podman: Podman, folder: Path) -> None:
    """Run a container with nothing but one program of this machine, which is linked statically."""
    catatonit = shutil.which("catatonit")
    assert catatonit is not None
    shutil.copy(catatonit, folder / "program")
    podman.run(
        "run",
        "--rm",
        "--memory=64M",
        "--pids-limit=16",
        "--cap-drop=ALL",
        "--rootfs",
        str(folder),
        "/program",
        "--version",
    )


@pytest.fixture(scope="session")
def world(podman: Podman, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything, ready; it is removed at the end."""
    env = tmp_path_factory.mktemp("env") / ".env"
    assert runpy.run_path(str(ROOT / "deploy" / "new_env.py"))["main"](env) == 0
    variables = dict(line.split("=", 1) for line in env.read_text().splitlines())
    settings = {"SENTINELIQ_OUTBOUND_ALLOW": _BENCH, "SENTINELIQ_API_RATE": "0"}
    compose = read_compose({**variables, **settings})
    try:
        images = build_images(podman, compose["services"], tmp_path_factory.mktemp("build"))
    except PodmanError as error:
        if "debootstrap" in str(error):
            pytest.skip(f"NO CONTAINER WAS TRIED: {error}")
        raise
    programs = tmp_path_factory.mktemp("programs")
    copy_programs(programs)
    containers = Containers(podman, compose["services"], compose["networks"], images, programs)
    try:
        containers.make_networks()
        containers.start_all()
        outside = Outside(containers.gateway("outside"))
        try:
            yield World(containers, outside, variables)
        finally:
            outside.close()
    finally:
        containers.remove()

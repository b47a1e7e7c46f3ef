"""Faults of storage: full disks, and folders that are lost or come back older than they were."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.installation import Installation, wait_until
from tests.faults.load import Load, new_values
from tests.faults.oracle import Figures, Oracle
from tests.faults.scenario import NotPossibleHere, Trial, pause
from tests.faults.server_faults import outage

_DISK_MB = 2048


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount a disk of its own over a folder, and leave its contents there; needs root.

    Yields:
        A file on the disk that takes all space when it is filled.
    """
    if os.geteuid() != 0:
        raise NotPossibleHere("only root may mount a small disk")
    below = folder.with_name(f"{folder.name}.below")
    folder.rename(below)
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        if mounted.returncode:
            raise NotPossibleHere(f"no disk can be mounted here: {mounted.stderr.strip()}")
        _copy(below, folder)
        yield folder / "ballast"
        _copy(folder, below)
    finally:
        if not mounted.returncode:
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
        folder.rmdir()
        below.rename(folder)


def _copy(source: Path, target: Path) -> None:
    """Make the target what the source is, with owners and modes."""
    for entry in target.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)


def fill(ballast: Path) -> None:
    """Take all the space that a disk has left, while others write to it as well."""
    space = os.statvfs(ballast.parent)
    with ballast.open("ab") as file:
        with suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, space.f_bavail * space.f_frsize)
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), b"\0" * size)


def full_database_disk(trial: Trial) -> Figures:
    """PostgreSQL's disk is full for a while."""
    installation = trial.installation
    folder = installation.stack.data_dir / "postgres"
    with outage(installation, "postgres", signal.SIGINT):
        disk = small_disk(folder, _DISK_MB)
        ballast = disk.__enter__()
    try:
        installation.sql("SELECT 1")

        def fault(_: Load) -> float:
            fill(ballast)
            try:
                pause(trial.seconds(6, 60))
            finally:
                ballast.unlink()
            return time.monotonic()

        return trial.run("full database", fault)
    finally:
        with outage(installation, "postgres", signal.SIGINT):
            disk.__exit__(None, None, None)


def full_data_folder(trial: Trial) -> Figures:
    """The disk of payloads is full: fetches fail and wait, uploads are refused, nothing is lost."""
    installation = trial.installation
    folder = installation.stack.data_dir / "payloads"
    with small_disk(folder, 64) as ballast:

        def fault(_: Load) -> float:
            fill(ballast)
            try:
                pause(trial.seconds(5, 30))
            finally:
                ballast.unlink()
            return time.monotonic()

        return trial.run("full data folder", fault)


def _list_that_changes(trial: Trial, name: str) -> tuple[Oracle, Load, str]:
    """A feed whose list is stored; the caller changes it, and what is gone must be retracted."""
    oracle = Oracle(trial.installation)
    load = Load(trial.installation, name)
    feed = load.serve(200)
    run = load.fetch(feed)
    wait_until(lambda: load.run_state(run) == "succeeded", "the first run of the list")
    return oracle, load, feed


def lost_data_folder(trial: Trial) -> Figures:
    """Payloads and snapshots are gone: the next run states everything, and retracts what left."""
    oracle, load, feed = _list_that_changes(trial, "lost folder")
    for name in ("payloads", "versions"):
        folder = trial.installation.stack.data_dir / name
        for entry in list(folder.iterdir()):
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    removed_at = time.monotonic()
    served = load.served(feed)
    served.lines = served.lines[20:] + new_values(30)
    load.fetch(feed)
    return trial.count(oracle, load, trial.probe.seconds(removed_at))


def older_data_folder(trial: Trial) -> Figures:
    """Snapshots come back as they were before the last two runs."""
    oracle, load, feed = _list_that_changes(trial, "older folder")
    folder = trial.installation.stack.data_dir / "versions"
    older = folder.with_name("versions.older")
    shutil.copytree(folder, older)
    served = load.served(feed)
    for _ in range(2):
        served.lines = served.lines[20:] + new_values(30)
        run = load.fetch(feed)
        wait_until(lambda run=run: load.run_state(run) == "succeeded", "a later run")
    shutil.rmtree(folder)
    older.rename(folder)
    removed_at = time.monotonic()
    served.lines = served.lines[20:] + new_values(30)
    load.fetch(feed)
    return trial.count(oracle, load, trial.probe.seconds(removed_at))


@contextmanager
def put_back(installation: Installation, server: str) -> Iterator[None]:
    """Copy a server's folder as a power cut would leave it, and put the copy back at the end."""
    folder = installation.stack.data_dir / server
    older = folder.with_name(f"{server}.older")
    with outage(installation, server, signal.SIGINT if server == "postgres" else signal.SIGKILL):
        subprocess.run(["cp", "-a", str(folder), str(older)], check=True)
    try:
        yield
        with outage(installation, server):
            shutil.rmtree(folder)
            older.rename(folder)
    finally:
        shutil.rmtree(older, ignore_errors=True)


def older_database(trial: Trial) -> Figures:
    """The database is restored to an earlier state: the log is applied again, and tells no news."""
    oracle = Oracle(trial.installation)
    load = Load(trial.installation, "older database")
    _upload_to_each(load, trial.items)
    with put_back(trial.installation, "postgres"):
        _upload_to_each(load, trial.items)
    removed_at = time.monotonic()
    return trial.count(oracle, load, trial.probe.seconds(removed_at))


def _upload_to_each(load: Load, count: int) -> None:
    """Upload through every feed, and wait until the receiver was told of all."""
    for _ in load.uploads:
        wait_until(lambda: load.try_upload(count // len(load.uploads)), "an upload is accepted")
    wait_until(lambda: load.announced() >= len(load.ledger.announced), "the uploads", 120)


def older_log(trial: Trial) -> Figures:
    """Kafka's folder comes back as it was before records that were acknowledged and applied."""
    installation = trial.installation
    oracle = Oracle(installation)
    load = Load(installation, "older log")
    _upload_to_each(load, trial.items)
    with put_back(installation, "kafka"):
        _upload_to_each(load, trial.items)
    removed_at = time.monotonic()
    recovery = trial.probe.seconds(removed_at)
    wait_until(lambda: load.try_upload(trial.items), "an upload is accepted")
    return trial.count(oracle, load, recovery)


def lost_log(trial: Trial) -> Figures:
    """Kafka's folder is lost: topics are made anew, and what rows still know is sent again."""
    installation = trial.installation
    oracle, load, feed = _list_that_changes(trial, "lost log")
    with outage(installation, "kafka"):
        shutil.rmtree(installation.stack.data_dir / "kafka" / "log")
    removed_at = time.monotonic()
    served = load.served(feed)
    served.lines = served.lines[20:] + new_values(30)
    load.fetch(feed)
    return trial.count(oracle, load, trial.probe.seconds(removed_at))

"""The data folder of a running stack: no other account reads anything in it."""

import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentineliq.local.stack import Stack
from tests.cli.conftest import CommandLine

_READABLE = stat.S_IRGRP | stat.S_IROTH | stat.S_IWGRP | stat.S_IWOTH
_OTHERS_PASS = stat.S_IXOTH
NOBODY = 65534


def entries(folder: Path) -> Iterator[tuple[Path, int]]:
    for path in (folder, *folder.rglob("*")):
        try:
            status = path.lstat()
        except FileNotFoundError:
            continue  # a server has removed it meanwhile
        if not stat.S_ISLNK(status.st_mode):
            yield path, status.st_mode


def test_nothing_is_readable_by_group_or_others(
    running_stack: Stack, cli: CommandLine, blocklist: str
) -> None:
    assert cli("ingest", blocklist).exit_code == 0
    listed = list(entries(running_stack.data_dir))
    folders = {path.relative_to(running_stack.data_dir).parts[0] for path, _ in listed[1:]}
    assert {"postgres", "kafka", "valkey", "payloads", "logs", "secrets.json"} <= folders
    assert len(listed) > 300, "the servers' files are among them"
    assert [str(path) for path, mode in listed if mode & (_READABLE | _OTHERS_PASS)] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_finds_nothing(running_stack: Stack) -> None:
    folder = running_stack.data_dir
    for command in (["ls", str(folder)], ["cat", str(folder / "secrets.json")]):
        result = subprocess.run(
            command,
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode != 0
        assert "Permission denied" in result.stderr

"""Folders that other accounts can neither list nor read."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.private_files import close_folder, let_group_pass, private_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def opened(tmp_path: Path) -> Path:
    """A folder as an earlier version has left it."""
    folder = tmp_path / "data"
    (folder / "payloads" / "ab").mkdir(parents=True)
    (folder / "payloads" / "ab" / "document").write_text("a feed's")
    (folder / "script").write_text("#!/bin/sh")
    (folder / "script").chmod(0o755)
    return folder


def test_a_new_folder_is_its_owners(tmp_path: Path) -> None:
    close_folder(tmp_path / "above" / "data")
    assert mode(tmp_path / "above" / "data") == 0o700


def test_what_an_earlier_version_left_open_is_closed(opened: Path) -> None:
    close_folder(opened)
    assert mode(opened) == mode(opened / "payloads") == mode(opened / "payloads" / "ab") == 0o700
    assert mode(opened / "payloads" / "ab" / "document") == 0o600
    assert mode(opened / "script") == 0o700


def test_links_do_not_lead_outside(opened: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("somebody's")
    (opened / "to-folder").symlink_to(outside)
    (opened / "to-file").symlink_to(outside / "file")
    close_folder(opened)
    assert (mode(outside), mode(outside / "file")) == (0o755, 0o644)


def test_a_closing_that_was_cut_short_is_repeated(
    opened: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shared.private_files._close", end)
        with pytest.raises(KeyboardInterrupt):
            close_folder(opened)
    close_folder(opened)
    assert mode(opened / "payloads" / "ab" / "document") == 0o600


def test_a_group_passes_and_does_not_list(opened: Path) -> None:
    close_folder(opened)
    let_group_pass(opened, os.getgid())
    assert (mode(opened), opened.stat().st_gid) == (0o710, os.getgid())
    (opened / "later").write_text("made since")
    close_folder(opened)
    assert mode(opened) == 0o710, "it is closed, and stays as it is"
    assert mode(opened / "later") == 0o644, "a closed folder is not searched"


def test_a_folder_that_all_may_pass_needs_no_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    let_group_pass(tmp_path, os.getgid())
    assert mode(tmp_path) == 0o711


def test_new_files_are_private_while_a_block_runs(tmp_path: Path) -> None:
    with private_files():
        (tmp_path / "inside").write_text("")
    (tmp_path / "after").write_text("")
    assert (mode(tmp_path / "inside"), mode(tmp_path / "after")) == (0o600, 0o644)

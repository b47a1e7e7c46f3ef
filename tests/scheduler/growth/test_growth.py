"""The sizes of the real database and of real folders are measured and kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.scheduler.growth import sizes
from services.scheduler.growth.service import measure_growth
from shared.database import Database
from shared.settings import Settings


def test_a_folder_counts_what_it_occupies(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "full").write_bytes(b"x" * 1_000_000)
    with (tmp_path / "holes").open("wb") as file:
        file.truncate(1_000_000_000)
    assert 1_000_000 <= sizes.occupied_bytes(tmp_path) < 2_000_000


def test_a_file_that_disappears_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stays").write_bytes(b"x" * 10_000)
    monkeypatch.setattr(sizes.os, "walk", lambda _: [(str(tmp_path), [], ["gone", "stays"])])
    assert sizes.occupied_bytes(tmp_path) >= 10_000


def test_sizes_are_stored(
    own: Database, environment: Settings, query: Callable[..., list[sa.Row[Any]]], tmp_path: Path
) -> None:
    (tmp_path / "payloads").mkdir()
    (tmp_path / "payloads" / "document").write_bytes(b"x" * 50_000)
    measure_growth(own, environment.model_copy(update={"data_dir": tmp_path}))
    rows = query("SELECT part, bytes, free_bytes FROM growth_sample")
    stored = {row.part: row for row in rows}
    assert set(stored) == {"database", "disk", "data/payloads"}
    assert stored["data/payloads"].bytes >= 50_000
    assert stored["database"].bytes > 5_000_000
    assert stored["disk"].free_bytes > 0
    assert stored["database"].free_bytes is None

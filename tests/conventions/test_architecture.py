"""The page that shows the rooms knows them all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
_COMPOSITION = {"__init__", "__main__", "app", "consumers", "migrations", "worker"}
"""What every service has; the page shows it once, under "A service"."""


def places() -> Iterator[str]:
    """The rooms and the modules that stand beside them, as `service/name`."""
    for service in sorted((ROOT / "services").iterdir()):
        for place in sorted(service.iterdir()) if (service / "__init__.py").is_file() else ():
            is_room = (place / "__init__.py").is_file()
            if (is_room or place.suffix == ".py") and place.stem not in _COMPOSITION:
                yield f"{service.name}/{place.stem}"


def unnamed(text: str) -> list[str]:
    """The places that a page does not name in code."""
    return [place for place in places() if f"`{place.partition('/')[2]}`" not in text]


def test_every_room_has_its_line() -> None:
    assert len(list(places())) > 50
    assert unnamed(PAGE.read_text()) == []


@pytest.mark.parametrize("room", ["evidence", "signed_links", "previews"])
def test_a_room_without_a_line_is_noticed(room: str) -> None:
    text = PAGE.read_text().replace(f"`{room}`", "")
    assert [place.partition("/")[2] for place in unnamed(text)] == [room]

"""The blocks of commands in README and docs/, as a reader sees them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SHELLS = {"console", "sh", "bash", "shell"}


class Command(NamedTuple):
    """A line after a prompt, and where it stands."""

    page: str
    line: int
    text: str


def pages() -> list[Path]:
    """The pages that a reader follows."""
    return [
        *sorted(ROOT.glob("README*.md")),
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").rglob("*.md")),
    ]


def commands_of(page: Path) -> Iterator[Command]:
    """The commands of a page, in order. Other lines of a block show what they print."""
    text = page.read_text()
    name = str(page.relative_to(ROOT))
    for block in _BLOCK.finditer(text):
        if block[1] not in _SHELLS:
            continue
        first = text.count("\n", 0, block.start()) + 2
        for offset, line in enumerate(block[2].splitlines()):
            if line.startswith("$ "):
                # What follows two blanks and a hash is for the reader.
                yield Command(name, first + offset, line[2:].partition("  #")[0].strip())


def code_of(page: Path, language: str) -> list[str]:
    """The blocks of a page in a language, whole."""
    return [block[2] for block in _BLOCK.finditer(page.read_text()) if block[1] == language]

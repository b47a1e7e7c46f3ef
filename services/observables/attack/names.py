"""Names of malware, tools and groups beyond those of ATT&CK, and which of them a plain tag may be.

`names.txt` holds them with a description of its lines. No I/O after the import.
"""

from importlib.resources import files
from typing import Final, NamedTuple


class NameList(NamedTuple):
    """The list of names, each without case and signs.

    Attributes:
        plain: ids by name, for plain tags.
        declared: ids by name, for what a source declares to be a family, a tool or a group.
        ambiguous: names that several things have, or that are words as well.
    """

    plain: dict[str, str]
    declared: dict[str, str]
    ambiguous: frozenset[str]


def normalize_name(name: str) -> str:
    """A name without case, spaces, dashes and other signs."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def read_names(text: str) -> NameList:
    """The list of names in a text of the form of `names.txt`."""
    plain: dict[str, str] = {}
    declared: dict[str, str] = {}
    ambiguous: set[str] = set()
    for line in text.splitlines():
        head, *names = line.split()
        if head == "!":
            ambiguous.update(names)
        elif head != "#":
            declared |= dict.fromkeys((name.removeprefix("?") for name in names), head)
            plain |= dict.fromkeys((name for name in names if name[0] != "?"), head)
    return NameList(plain, declared, frozenset(ambiguous))


NAMES: Final = read_names(files(__package__).joinpath("names.txt").read_text("utf-8"))

"""Errors of filters: what is wrong, at which place of the text."""

from shared.errors import InvalidInput


class FilterError(InvalidInput):
    """A filter cannot be used; the message shows the place.

    Attributes:
        reason: one sentence.
        position: characters before the place.
    """

    code = "invalid-filter"

    def __init__(self, reason: str, text: str, position: int, length: int = 1) -> None:
        self.reason = reason
        self.position = min(position, len(text))
        super().__init__(
            f"{reason}\n{_marked(text, self.position, length)}",
            field="filter",
            position=self.position,
        )


def _marked(text: str, position: int, length: int) -> str:
    """The line of a place, with carets below the place."""
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start:] if end < 0 else text[start:end]
    # A long line is cut to what stands around the place.
    first = max(0, position - start - 60)
    shown = line[first : first + 120].replace("\t", " ")
    column = position - start - first
    carets = "^" * max(1, min(length, len(shown) - column))
    return f"  {shown}\n  {' ' * column}{carets}"

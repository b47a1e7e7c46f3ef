"""The addresses of pages: below one path, with their whole state in the query."""

from typing import Any, Final
from urllib.parse import quote, urlencode

BASE: Final = "/console"
"""The path of the console."""


def page_address(path: str, **state: Any) -> str:
    """The address of a page.

    Args:
        path: below the console, such as `/feeds`; what is not allowed in it is quoted.
        state: the page's state; what is None, False or empty is left out.
    """
    present = [(name, value) for name, value in state.items() if value not in (None, "", False)]
    query = f"?{urlencode(present, doseq=True)}" if present else ""
    return f"{BASE}{quote(path)}{query}"

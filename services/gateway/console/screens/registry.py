"""All screens of the console."""

from typing import Final

from services.gateway.console.screens import feeds, observable, search, sign_in
from services.gateway.console.visits import Screen

OPEN_SCREENS: Final[list[Screen]] = sign_in.SIGN_IN_SCREENS
"""What a browser gets before its person has signed in."""
SCREENS: Final[list[Screen]] = [
    *OPEN_SCREENS,
    *sign_in.SCREENS,
    *search.SCREENS,
    *observable.SCREENS,
    *feeds.SCREENS,
]

"""How a person wants to see the console: language, theme and density, kept in the browser."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.console.languages import choose_language

THEMES: Final = ("system", "light", "dark", "contrast")
DENSITIES: Final = ("roomy", "dense")
_NAME: Final = "sentineliq-view"
_YEAR: Final = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Preferences:
    """A person's choice.

    Attributes:
        language: a tag of `LANGUAGES`.
        theme: one of `THEMES`; `system` follows the browser.
        density: one of `DENSITIES`.
    """

    language: str
    theme: str = THEMES[0]
    density: str = DENSITIES[0]


def make_preferences(request: Request, language: str, theme: str, density: str) -> Preferences:
    """Make preferences of texts that may be anything; what is no choice becomes the default."""
    return Preferences(
        choose_language(language, request.headers.get("accept-language", "")),
        theme if theme in THEMES else THEMES[0],
        density if density in DENSITIES else DENSITIES[0],
    )


def read_preferences(request: Request) -> Preferences:
    """Return the preferences of a request."""
    parts = [*request.cookies.get(_NAME, "").split("/"), "", "", ""]
    return make_preferences(request, parts[0], parts[1], parts[2])


def write_preferences(response: Response, preferences: Preferences, *, secure: bool) -> None:
    """Keep preferences in the browser."""
    value = f"{preferences.language}/{preferences.theme}/{preferences.density}"
    response.set_cookie(
        _NAME, value, max_age=_YEAR, path="/", secure=secure, httponly=True, samesite="strict"
    )

"""Signing in with a token, signing out, and how a person wants to see pages."""

from typing import Final

from starlette.responses import RedirectResponse, Response

from services.gateway.console.addresses import BASE, page_address
from services.gateway.console.preferences import make_preferences, write_preferences
from services.gateway.console.sessions import is_plain_loopback
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import Unauthenticated

_MAX_TOKEN: Final = 2_500
"""Characters: a sealed token and its cookie's name fit a browser's limit of 4,096 bytes."""


async def show_sign_in(visit: ConsoleVisit) -> Response:
    """The form."""
    if visit.session.principal is not None:
        return visit.moved("/")
    return visit.page("sign_in.html", wish=visit.query("next"), problem=None)


async def sign_in(visit: ConsoleVisit) -> Response:
    """Keep the token, in a new session, and lead to the page that was needle."""
    token = "".join(visit.form.text("token").split()).removeprefix("Bearer")
    wish = visit.form.text("next")
    if not token or len(token) > _MAX_TOKEN:
        problem = "invalid" if token else "empty"
        return visit.page("sign_in.html", status=422, wish=wish, problem=problem)
    try:
        session = visit.start_session(token)
    except Unauthenticated:
        return visit.page("sign_in.html", status=422, wish=wish, problem="invalid")
    visit.change_session(session)
    return RedirectResponse(own_address(wish), 303)


async def sign_out(visit: ConsoleVisit) -> Response:
    """End the session of this browser. The token stays valid elsewhere."""
    visit.change_session(visit.start_session(""))
    return visit.moved("/sign-in")


async def show_preferences(visit: ConsoleVisit) -> Response:
    """The choices."""
    return visit.page("preferences.html")


async def change_preferences(visit: ConsoleVisit) -> Response:
    """Keep language, theme and density in the browser."""
    form = visit.form
    preferences = make_preferences(
        visit.request, form.text("language"), form.text("theme"), form.text("density")
    )
    response = RedirectResponse(own_address(form.text("next")), 303)
    write_preferences(response, preferences, secure=not is_plain_loopback(visit.request.url))
    return response


def own_address(wish: str) -> str:
    """An address of the console, from a text that may be anything: never another site's."""
    is_own = wish.startswith("/") and not wish.startswith("//") and "\\" not in wish
    return f"{BASE}{wish}" if is_own and wish.isprintable() else page_address("/")


SIGN_IN_SCREENS: Final = [
    Screen("GET", "/sign-in", show_sign_in),
    Screen("POST", "/sign-in", sign_in),
    Screen("GET", "/preferences", show_preferences),
    Screen("POST", "/preferences", change_preferences),
]
SCREENS: Final = [Screen("POST", "/sign-out", sign_out)]

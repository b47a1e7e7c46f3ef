"""Signing in and out, links of invitations, and how a person wants to see pages."""

from typing import Final

from starlette.responses import JSONResponse, RedirectResponse, Response

from services.gateway.console.addresses import BASE, page_address
from services.gateway.console.identity import AccountForm, SignInForm
from services.gateway.console.preferences import make_preferences, write_preferences
from services.gateway.console.sessions import is_plain_loopback, start_session
from services.gateway.console.visits import ConsoleVisit, Screen
from services.gateway.credentials.second_factor import SecondFactorRequired
from services.gateway.sessions.service import Device
from shared.errors import SentinelIQError, Unauthenticated

_MAX_TOKEN: Final = 2_500
"""Characters: a sealed token and its cookie's name fit a browser's limit of 4,096 bytes."""


async def show_sign_in(visit: ConsoleVisit) -> Response:
    """The form."""
    if visit.session.principal is not None:
        return visit.moved("/")
    return _sign_in_page(visit, None)


def _sign_in_page(visit: ConsoleVisit, refusal: SentinelIQError | None) -> Response:
    needs_code = isinstance(refusal, SecondFactorRequired)
    status = 200 if refusal is None else refusal.status if refusal.status < 500 else 503
    return visit.page(
        "sign_in.html",
        status=status,
        wish=visit.query("next") or visit.form.text("next"),
        form=visit.form,
        refusal=None if needs_code else refusal,
        needs_code=needs_code or bool(visit.form.text("code")),
    )


async def sign_in(visit: ConsoleVisit) -> Response:
    """Sign in with a login and a password, or with a token; lead to the page that was wanted."""
    form = visit.form
    try:
        if form.text("token"):
            credential = _token_of(form.text("token"))
        else:
            typed = SignInForm(form.text("login"), form.raw("password"), form.text("code"))
            credential = await visit.identity.sign_in(typed, _device(visit))
        await _enter(visit, credential)
    except SentinelIQError as error:
        return _sign_in_page(visit, error)
    return RedirectResponse(own_address(form.text("next")), 303)


async def begin_passkey(visit: ConsoleVisit) -> Response:
    """What a script of the sign-in page asks an authenticator."""
    try:
        options = await visit.identity.begin_passkey(visit.origin)
    except SentinelIQError as error:
        return JSONResponse({"problem": error.message}, error.status)
    return JSONResponse(options.model_dump(mode="json"))


async def sign_in_by_passkey(visit: ConsoleVisit) -> Response:
    """Sign in with what an authenticator has signed."""
    form = visit.form
    try:
        credential = await visit.identity.sign_in_by_passkey(
            form.text("challenge_id"), form.raw("credential"), visit.origin, _device(visit)
        )
        await _enter(visit, credential)
    except SentinelIQError as error:
        return _sign_in_page(visit, error)
    return RedirectResponse(own_address(form.text("next")), 303)


def _token_of(text: str) -> str:
    token = "".join(text.split()).removeprefix("Bearer")
    if not token.isascii() or len(token) > _MAX_TOKEN:
        raise Unauthenticated("This is no token.")
    return token


async def _enter(visit: ConsoleVisit, credential: str) -> None:
    """Give the browser a session with a credential.

    Raises:
        Unauthenticated: the credential is of nobody, or its person belongs to no tenant.
    """
    admission = await visit.identity.admit(credential, _address(visit))
    if admission is None:
        raise Unauthenticated(
            "This is not valid: it was cut, has expired, or belongs to another installation."
        )
    visit.change_session(start_session(credential, admission))


def _device(visit: ConsoleVisit) -> Device:
    return Device(True, _address(visit), visit.request.headers.get("user-agent", ""))


def _address(visit: ConsoleVisit) -> str:
    client = visit.request.client
    return client.host if client else ""


async def show_welcome(visit: ConsoleVisit) -> Response:
    """Where a link leads: its secret stands behind the `#`, which a script puts into the form."""
    return visit.page("welcome.html", link=None, form=visit.form, refusal=None)


async def open_link(visit: ConsoleVisit) -> Response:
    """Show what a link is for, and use it once the form is filled in."""
    form = visit.form
    secret = form.text("secret")
    try:
        link = await visit.identity.view_link(secret)
        if not form.raw("password"):
            return visit.page("welcome.html", link=link, form=form, refusal=None)
    except SentinelIQError as error:
        return visit.page("welcome.html", status=422, link=None, form=form, refusal=error)
    typed = AccountForm(secret, form.text("login"), form.text("name"), form.raw("password"))
    try:
        credential = await visit.identity.accept_link(typed, _device(visit))
        if credential is None:
            return visit.moved("/sign-in", done="saved")
        await _enter(visit, credential)
    except SentinelIQError as error:
        return visit.page("welcome.html", status=422, link=link, form=form, refusal=error)
    return visit.moved("/")


async def sign_out(visit: ConsoleVisit) -> Response:
    """End the session. A token stays valid elsewhere."""
    await visit.identity.end(visit.session.credential)
    visit.change_session(start_session())
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
    Screen("POST", "/sign-in/passkey/begin", begin_passkey),
    Screen("POST", "/sign-in/passkey", sign_in_by_passkey),
    Screen("GET", "/welcome", show_welcome),
    Screen("POST", "/welcome", open_link),
    Screen("GET", "/preferences", show_preferences),
    Screen("POST", "/preferences", change_preferences),
]
SCREENS: Final = [Screen("POST", "/sign-out", sign_out)]

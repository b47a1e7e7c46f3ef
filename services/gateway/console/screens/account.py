"""A person's own password, one-time codes and passkeys."""

import json
from typing import Final

from starlette.responses import JSONResponse, Response

from services.gateway.console.api_client import ApiRefusal, Json
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_HERE: Final = "/account"
_MAX_CREDENTIAL: Final = 20_000
"""Characters of what an authenticator answers."""
_FIELDS: Final = ("present", "password", "code")


async def show_account(visit: ConsoleVisit) -> Response:
    """What a person signs in with."""
    return await _account_page(visit)


async def _account_page(
    visit: ConsoleVisit,
    refusal: ApiRefusal | None = None,
    *,
    act: str = "",
    fresh: Json | None = None,
    codes: list[str] | None = None,
) -> Response:
    """The page.

    Args:
        visit: the request.
        refusal: of the act that was sent.
        act: which one it was: what is wrong shows beside its fields alone.
        fresh: a secret of one-time codes that waits for its first code.
        codes: recovery codes, which show once.
    """
    passkeys = await visit.get("gateway", "/v1/account/passkeys")
    return visit.page(
        "account.html",
        status=422 if refusal else 200,
        passkeys=passkeys,
        form=visit.form,
        refusals={act: refusal} if refusal else {},
        is_beside=refusal is not None and refusal.is_beside(_FIELDS),
        refusal=refusal,
        fresh=fresh,
        codes=codes,
    )


async def change_password(visit: ConsoleVisit) -> Response:
    """Set another password; the person's other sessions end."""
    form = visit.form
    body: Json = {"present": form.raw("present"), "password": form.raw("password")}
    answer = await visit.put("gateway", "/v1/account/password", body)
    if answer.refusal is not None:
        return await _account_page(visit, answer.refusal, act="password")
    return visit.moved(_HERE, done="saved")


async def begin_codes(visit: ConsoleVisit) -> Response:
    """Make the secret for an authenticator; it shows once, and waits for its first code."""
    answer = await visit.post("gateway", "/v1/account/one-time-codes")
    if answer.refusal is not None:
        return await _account_page(visit, answer.refusal, act="codes")
    return await _account_page(visit, fresh=answer.document)


async def confirm_codes(visit: ConsoleVisit) -> Response:
    """Use one-time codes from now on; the recovery codes show once."""
    body: Json = {"code": visit.form.text("code")}
    answer = await visit.post("gateway", "/v1/account/one-time-codes/confirm", body)
    if answer.refusal is not None:
        return await _account_page(visit, answer.refusal, act="confirm", fresh={})
    return await _account_page(visit, codes=answer.document["codes"])


async def remove_codes(visit: ConsoleVisit) -> Response:
    """Use one-time codes no more."""
    body: Json = {"code": visit.form.text("code")}
    answer = await visit.post("gateway", "/v1/account/one-time-codes/remove", body)
    if answer.refusal is not None:
        return await _account_page(visit, answer.refusal, act="remove")
    return visit.moved(_HERE, done="saved")


async def begin_passkey(visit: ConsoleVisit) -> Response:
    """What a script of the page asks an authenticator."""
    answer = await visit.post_of_page("gateway", "/v1/account/passkeys/begin", {})
    if answer.refusal is not None:
        return JSONResponse({"problem": answer.refusal.message}, answer.refusal.status or 503)
    return JSONResponse(answer.document)


async def add_passkey(visit: ConsoleVisit) -> Response:
    """Keep the passkey that an authenticator has made."""
    form = visit.form
    try:
        credential = json.loads(form.raw("credential")[:_MAX_CREDENTIAL])
    except (ValueError, RecursionError):
        raise InvalidInput("This is no passkey's answer.", field="credential") from None
    body: Json = {
        "name": form.text("passkey_name"),
        "challenge_id": form.text("challenge_id"),
        "credential": credential,
    }
    answer = await visit.post_of_page("gateway", "/v1/account/passkeys", body)
    if answer.refusal is not None:
        return await _account_page(visit, answer.refusal, act="passkey")
    return visit.moved(_HERE, done="saved")


async def remove_passkey(visit: ConsoleVisit) -> Response:
    """Accept a passkey no more."""
    answer = await visit.delete("gateway", f"/v1/account/passkeys/{visit.place('passkey_id')}")
    if answer.refusal is not None:
        return await _account_page(visit, answer.refusal, act="passkey")
    return visit.moved(_HERE, done="deleted")


SCREENS: Final = [
    Screen("GET", _HERE, show_account),
    Screen("POST", f"{_HERE}/password", change_password),
    Screen("POST", f"{_HERE}/codes", begin_codes),
    Screen("POST", f"{_HERE}/codes/confirm", confirm_codes),
    Screen("POST", f"{_HERE}/codes/remove", remove_codes),
    Screen("POST", f"{_HERE}/passkeys/begin", begin_passkey),
    Screen("POST", f"{_HERE}/passkeys", add_passkey),
    Screen("POST", f"{_HERE}/passkeys/{{passkey_id}}/remove", remove_passkey),
]

"""Silences: what nobody is told of for a while, tried on the last hours before it is planned."""

from typing import Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer, ApiRefusal, Json
from services.gateway.console.forms import utc_moment
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_HOURS: Final = 24
_HERE: Final = "/notifications/silences"
_FIELDS: Final = ("filter", "reason", "starts_at", "ends_at")


async def show_silences(visit: ConsoleVisit) -> Response:
    """Silences, newest first, and the form of a new one."""
    return await _silences_page(visit)


async def _silences_page(
    visit: ConsoleVisit, refusal: ApiRefusal | None = None, trial: Answer | None = None
) -> Response:
    answer = await visit.get(
        "notifications", "/v1/silences", after=visit.query("after"), limit=_PAGE
    )
    return visit.page(
        "silences.html",
        status=422 if refusal else 200,
        fragment="trial",
        answer=answer,
        form=visit.form,
        refusal=refusal,
        is_beside=refusal is not None and refusal.is_beside(_FIELDS),
        trial=trial.document if trial else None,
        hours=_HOURS,
    )


async def save_silence(visit: ConsoleVisit) -> Response:
    """Try a silence on the last hours, or plan it: the form's button says which."""
    form = visit.form
    if form.text("act") == "try":
        body: Json = {"filter": form.raw("filter"), "hours": _HOURS}
        trial = await visit.post("notifications", "/v1/silences/preview", body)
        return await _silences_page(visit, trial.refusal, trial)
    body = {"filter": form.raw("filter"), "reason": form.text("reason")}
    for name in ("starts_at", "ends_at"):
        if form.text(name):
            body[name] = utc_moment(form.text(name))
    answer = await visit.post("notifications", "/v1/silences", body)
    if answer.refusal is not None:
        return await _silences_page(visit, answer.refusal)
    return visit.moved(_HERE, done="saved")


async def act_on_silence(visit: ConsoleVisit) -> Response:
    """End a silence now: what it holds is summed up at once."""
    if visit.place("act") != "end":
        raise InvalidInput("There is no such act.", field="act")
    answer = await visit.post("notifications", f"/v1/silences/{visit.place('silence_id')}/end")
    if answer.refusal is not None:
        return await _silences_page(visit, answer.refusal)
    return visit.moved(_HERE, done="saved")


SCREENS: Final = [
    Screen("GET", _HERE, show_silences),
    Screen("POST", _HERE, save_silence),
    Screen("POST", f"{_HERE}/{{silence_id}}/{{act}}", act_on_silence),
]

"""Rules: a filter in the one language, its sentence, and what it would have told of the past."""

import asyncio
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer, ApiRefusal, Json
from services.gateway.console.forms import FormFields
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 200
_SEVERITIES: Final = ("low", "medium", "high", "critical")
_OCCASIONS: Final = ("new", "changed", "expired", "health")
_HOURS: Final = 24
_FIELDS: Final = ("name", "on", "filter", "severity", "min_score", "tags", "channel_ids")
"""The form's, as the API names them."""


async def list_rules(visit: ConsoleVisit) -> Response:
    """Rules by name."""
    answer, channels = await asyncio.gather(
        visit.get("notifications", "/v1/rules", limit=_PAGE, after=visit.query("after")),
        visit.get("notifications", "/v1/channels", limit=1000),
    )
    names = {channel["id"]: channel["name"] for channel in channels.items}
    return visit.page("rules.html", answer=answer, channels=names)


async def show_new_rule(visit: ConsoleVisit) -> Response:
    """The form of a new rule."""
    return await _rule_form(visit, visit.form)


async def save_rule(visit: ConsoleVisit) -> Response:
    """Try a rule on the last hours, or save it: the form's button says which."""
    try:
        body = _rule_of(visit.form)
    except InvalidInput as error:
        place = error.details.get("field")
        refusal = ApiRefusal("gateway", 422, error.code, error.message, place)
        return await _rule_form(visit, visit.form, refusal)
    if visit.form.text("act") == "try":
        body = {name: value for name, value in body.items() if value not in ("", [])}
        trial = await visit.post(
            "notifications", "/v1/rules/dry-run", {"rule": body, "hours": _HOURS}
        )
        return await _rule_form(visit, visit.form, trial.refusal, trial)
    answer = await visit.post("notifications", "/v1/rules", body)
    if answer.refusal is not None:
        return await _rule_form(visit, visit.form, answer.refusal)
    return visit.moved(f"/notifications/rules/{answer.document['id']}", done="saved")


async def _rule_form(
    visit: ConsoleVisit,
    form: FormFields,
    refusal: ApiRefusal | None = None,
    trial: Answer | None = None,
) -> Response:
    channels, digests = await asyncio.gather(
        visit.get("notifications", "/v1/channels", limit=1000),
        visit.get("notifications", "/v1/digests", limit=1000),
    )
    is_beside = refusal is not None and refusal.is_beside(_FIELDS)
    return visit.page(
        "rule_new.html",
        status=422 if refusal else 200,
        fragment="trial",
        form=form,
        refusal=refusal,
        is_beside=is_beside,
        digests=digests,
        channels=channels,
        severities=_SEVERITIES,
        occasions=_OCCASIONS,
        hours=_HOURS,
        trial=trial.document if trial else None,
        bars=_bars(trial.document if trial else None),
    )


def _rule_of(form: FormFields) -> Json:
    body: Json = {"name": form.text("name"), "channel_ids": form.texts("channel")}
    if form.texts("on"):
        body["on"] = form.texts("on")
    elif form.flag("is_sent"):
        raise InvalidInput("Choose at least one.", field="on")
    if form.text("digest_id"):
        body["digest_id"] = form.text("digest_id")
    if form.text("filter"):
        body["filter"] = form.raw("filter")
    if form.text("severity"):
        body["severity"] = form.text("severity")
    score = form.number("min_score", "Score at least")
    if score is not None:
        body["min_score"] = score
    if tags := form.words("tags"):
        body["tags"] = tags
    return body


def _bars(trial: Any) -> list[dict[str, Any]]:
    """The histogram of a trial: heights between 0 and 100."""
    histogram = (trial or {}).get("histogram") or []
    top = max((bar["matches"] for bar in histogram), default=0)
    return [{**bar, "height": round(100 * bar["matches"] / top) if top else 0} for bar in histogram]


async def show_rule(visit: ConsoleVisit) -> Response:
    """One rule: its sentence, its channels, its open groups."""
    rule_id = visit.place("rule_id")
    rule, channels, groups = await asyncio.gather(
        visit.get("notifications", f"/v1/rules/{rule_id}"),
        visit.get("notifications", "/v1/channels", limit=1000),
        visit.get("notifications", "/v1/groups", rule_id=rule_id, open="true", limit=20),
    )
    if rule.refusal is not None:
        return visit.refused(rule.refusal)
    names = {channel["id"]: channel["name"] for channel in channels.items}
    return visit.page("rule.html", rule=rule.document, channels=names, groups=groups)


async def act_on_rule(visit: ConsoleVisit) -> Response:
    """Pause, resume or delete a rule."""
    rule_id = visit.place("rule_id")
    act = visit.place("act")
    path = f"/v1/rules/{rule_id}"
    if act in {"pause", "resume"}:
        answer = await visit.patch("notifications", path, {"enabled": act == "resume"})
    elif act == "delete":
        answer = await visit.delete("notifications", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return visit.refused(answer.refusal)
    if act == "delete":
        return visit.moved("/notifications/rules", done="deleted")
    return visit.moved(f"/notifications/rules/{rule_id}", done="saved")


SCREENS: Final = [
    Screen("GET", "/notifications/rules", list_rules),
    Screen("GET", "/notifications/rules/new", show_new_rule, "notifications:write"),
    Screen("POST", "/notifications/rules/new", save_rule),
    Screen("GET", "/notifications/rules/{rule_id}", show_rule),
    Screen("POST", "/notifications/rules/{rule_id}/{act}", act_on_rule),
]

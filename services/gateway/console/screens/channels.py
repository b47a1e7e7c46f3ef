"""Channels of every kind, with the fields of its schema; what is secret never returns."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from services.gateway.console.api_client import Answer, ApiRefusal, Json
from services.gateway.console.schema_fields import SchemaField, document_of, fields_of
from services.gateway.console.visits import ConsoleVisit, Screen
from shared.errors import InvalidInput

_PAGE: Final = 100
_MARKINGS: Final = ("clear", "green", "amber", "amber+strict", "red")
_SEVERITIES: Final = ("low", "medium", "high", "critical")
_HERE: Final = "/notifications/channels"


@dataclass(frozen=True, slots=True)
class KindForm:
    """The form of one kind of channel.

    Attributes:
        kind: as the API describes it; None while none is chosen.
        config: fields of its configuration.
        credentials: fields that are sealed.
    """

    kind: Any
    config: Sequence[SchemaField] = ()
    credentials: Sequence[SchemaField] = ()

    @property
    def names(self) -> list[str]:
        """All fields of the form, as the API names their places."""
        own = ["name", "kind", "secret", "max_tlp"]
        return [*own, *(field.name for field in (*self.config, *self.credentials))]


def _form_of(kind: Any) -> KindForm:
    if kind is None:
        return KindForm(None)
    return KindForm(
        kind, fields_of(kind["config"], "config"), fields_of(kind["credentials"], "credentials")
    )


async def show_channels(visit: ConsoleVisit) -> Response:
    """All channels."""
    return await _channels_page(visit, None)


async def _channels_page(
    visit: ConsoleVisit,
    refusal: ApiRefusal | None,
    *,
    issued: Any = None,
    outcome: Any = None,
) -> Response:
    answer = await visit.get(
        "notifications", "/v1/channels", limit=_PAGE, after=visit.query("after")
    )
    return visit.page(
        "channels.html",
        status=422 if refusal else 200,
        answer=answer,
        refusal=refusal,
        issued=issued,
        outcome=outcome,
    )


async def show_new_channel(visit: ConsoleVisit) -> Response:
    """The form of a kind of channel, or all kinds to choose from."""
    kinds = await visit.get("notifications", "/v1/channels/types")
    return _new_page(visit, kinds, _form_of(_kind(kinds, visit.query("kind"))), None)


def _kind(kinds: Answer, name: str) -> Any:
    return next((kind for kind in kinds.items if kind["name"] == name), None)


def _new_page(
    visit: ConsoleVisit, kinds: Answer, fields: KindForm, refusal: ApiRefusal | None
) -> Response:
    return visit.page(
        "channel_new.html",
        status=422 if refusal else 200,
        fragment="kind_form",
        kinds=kinds,
        fields=fields,
        form=visit.form,
        refusal=refusal,
        markings=_MARKINGS,
    )


async def save_channel(visit: ConsoleVisit) -> Response:
    """Create a channel; its signing secret shows once, its credentials never."""
    form = visit.form
    kinds = await visit.get("notifications", "/v1/channels/types")
    if kinds.refusal is not None:
        return _new_page(visit, kinds, KindForm(None), kinds.refusal)
    fields = _form_of(_kind(kinds, form.text("kind")))
    if fields.kind is None:
        message = "There is no such kind of channel. Choose one."
        refusal = ApiRefusal("gateway", 422, "invalid-input", message, "kind")
        return _new_page(visit, kinds, fields, refusal)
    body: Json = {"name": form.text("name"), "kind": form.text("kind")}
    try:
        body["config"] = document_of(form, fields.config)
        if fields.credentials:
            body["credentials"] = document_of(form, fields.credentials)
    except InvalidInput as error:
        place = error.details.get("field")
        refusal = ApiRefusal("gateway", 422, error.code, error.message, place)
        return _new_page(visit, kinds, fields, refusal)
    for name in ("secret", "max_tlp"):
        if form.text(name):
            body[name] = form.text(name)
    answer = await visit.post("notifications", "/v1/channels", body)
    if answer.refusal is not None:
        return _new_page(visit, kinds, fields, answer.refusal)
    return await _channels_page(visit, None, issued=answer.document)


async def show_channel(visit: ConsoleVisit) -> Response:
    """One channel: its settings, other credentials, its receiver's quiet hours."""
    return await _channel_page(visit, None)


async def _channel_page(visit: ConsoleVisit, refusal: ApiRefusal | None) -> Response:
    path = f"/v1/channels/{visit.place('channel_id')}"
    channel, kinds, quiet = await asyncio.gather(
        visit.get("notifications", path),
        visit.get("notifications", "/v1/channels/types"),
        visit.get("notifications", f"{path}/quiet-hours"),
    )
    if channel.refusal is not None:
        return visit.refused(channel.refusal)
    return visit.page(
        "channel.html",
        status=422 if refusal else 200,
        channel=channel.document,
        fields=_form_of(_kind(kinds, channel.document["kind"])),
        quiet=quiet.document,
        form=visit.form,
        refusal=refusal,
        severities=_SEVERITIES,
    )


async def act_on_channel(visit: ConsoleVisit) -> Response:
    """Test, pause, resume or delete a channel, or give it other credentials or quiet hours."""
    path = f"/v1/channels/{visit.place('channel_id')}"
    act = visit.place("act")
    if act in {"credentials", "quiet-hours", "no-quiet-hours"}:
        return await _changed(visit, path, act)
    if act == "test":
        answer = await visit.post("notifications", f"{path}/test")
        if answer.refusal is None:
            return await _channels_page(visit, None, outcome=answer.document)
    elif act in {"pause", "resume"}:
        answer = await visit.patch("notifications", path, {"enabled": act == "resume"})
    elif act == "delete":
        answer = await visit.delete("notifications", path)
    else:
        raise InvalidInput("There is no such act.", field="act")
    if answer.refusal is not None:
        return await _channels_page(visit, answer.refusal)
    return visit.moved(_HERE, done="deleted" if act == "delete" else "saved")


async def _changed(visit: ConsoleVisit, path: str, act: str) -> Response:
    """Change one thing of a channel, and show its page again."""
    if act == "no-quiet-hours":
        answer = await visit.delete("notifications", f"{path}/quiet-hours")
    elif act == "quiet-hours":
        answer = await visit.put("notifications", f"{path}/quiet-hours", _quiet_hours(visit))
    else:
        channel, kinds = await asyncio.gather(
            visit.get("notifications", path), visit.get("notifications", "/v1/channels/types")
        )
        kind = _kind(kinds, (channel.document or {}).get("kind", ""))
        body = document_of(visit.form, _form_of(kind).credentials)
        answer = await visit.patch("notifications", path, {"credentials": body})
    if answer.refusal is not None:
        return await _channel_page(visit, answer.refusal)
    return visit.moved(f"{_HERE}/{visit.place('channel_id')}", done="saved")


def _quiet_hours(visit: ConsoleVisit) -> Json:
    """Quiet hours of one period, as the form has them."""
    form = visit.form
    days = [int(text) for text in form.texts("day") if text in "0123456"]
    period = {"days": days, "start": form.text("start"), "end": form.text("end")}
    return {
        "timezone": form.text("timezone"),
        "periods": [period],
        "passing": form.texts("passing"),
    }


SCREENS: Final = [
    Screen("GET", _HERE, show_channels),
    Screen("POST", _HERE, save_channel),
    Screen("GET", f"{_HERE}/new", show_new_channel, "notifications:write"),
    Screen("GET", f"{_HERE}/{{channel_id}}", show_channel),
    Screen("POST", f"{_HERE}/{{channel_id}}/{{act}}", act_on_channel),
]

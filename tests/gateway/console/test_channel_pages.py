"""Channels of every kind, made from the fields of their schemas; secrets never come back."""

import re
from collections.abc import Callable

import pytest

from services.gateway.console.forms import FormFields
from services.gateway.console.schema_fields import document_of, fields_of
from services.notifications.channels.catalog import describe_channel_types
from shared.errors import InvalidInput
from tests.gateway.console.conftest import Browser
from tests.gateway.console.test_lookup_pages import text_of

SignIn = Callable[..., Browser]
KINDS = {kind.name: kind for kind in describe_channel_types()}
PUBLIC = "https://8.8.8.8"
CONFIGS = {
    "email": {"host": "8.8.8.8", "sender": "a@example.org", "to": "b@example.org"},
    "file": {"name": "soc.jsonl"},
    "iris": {"url": PUBLIC, "customer_id": "1"},
    "jira": {"url": PUBLIC, "project": "SOC"},
    "kafka": {"servers": "8.8.8.8:9092", "topic": "alerts"},
    "misp": {"url": PUBLIC},
    "slack_bot": {"channel": "C024BE91L"},
    "syslog": {"host": "8.8.8.8"},
    "telegram": {"chat": "@operations"},
    "thehive": {"url": PUBLIC},
    "webhook": {"url": f"{PUBLIC}/hook"},
}
CREDENTIALS = {
    "apprise": {"address": "ntfys://8.8.8.8/hidden-word"},
    "email": {"username": "mail", "password": "hidden-word"},
    "jira": {"user": "x@example.org", "token": "hidden-word"},
    "kafka": {"username": "alerts", "password": "hidden-word"},
    "pagerduty": {"routing_key": "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4"},
    "slack_bot": {"token": "xoxb-hidden-word"},
    "telegram": {"token": "12345:hidden-word-hidden-word"},
    **{name: {"url": f"{PUBLIC}/hidden-word"} for name in ("discord", "mattermost")},
    **{name: {"url": f"{PUBLIC}/hidden-word"} for name in ("slack", "teams")},
    **{name: {"api_key": "hidden-word-" * 3} for name in ("iris", "jsm", "misp", "thehive")},
}
pytestmark = pytest.mark.usefixtures("settings")


def fields_for(kind: str) -> dict[str, str]:
    fields = {f"config.{name}": text for name, text in CONFIGS.get(kind, {}).items()}
    return fields | {
        f"credentials.{name}": text for name, text in CREDENTIALS.get(kind, {}).items()
    }


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_form_of_a_kind_has_every_field_of_its_schema(sign_in: SignIn, kind: str) -> None:
    page = sign_in(role="analyst").get("/notifications/channels/new", params={"kind": kind}).text
    names = set(re.findall(r'name="((?:config|credentials)\.[\w.]+)"', page))
    expected = {f"config.{name}" for name in KINDS[kind].config.get("properties", {})}
    credentials = (KINDS[kind].credentials or {}).get("properties", {})
    assert names == expected | {f"credentials.{name}" for name in credentials}
    chosen = re.search(r'<option value="(\w+)" translate="no" selected', page)
    assert chosen is not None
    assert chosen[1] == kind


def test_channels_of_all_kinds_are_made_and_no_page_shows_what_is_secret(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    refused: dict[str, str] = {}
    for kind in sorted(KINDS):
        fields = {"kind": kind, "name": f"Channel {kind}", **fields_for(kind)}
        answer = browser.post("/notifications/channels", **fields)
        assert "hidden-word" not in answer.text, kind
        if answer.status_code != 200:
            refused[kind] = str(re.findall(r'role="alert"[^<]*<?[^<]*', answer.text))
    # A file needs a folder that the operator of the installation has named.
    assert set(refused) <= {"file"}, refused
    page = browser.get("/notifications/channels").text
    for kind in set(KINDS) - set(refused):
        assert f"Channel {kind}" in page
    assert "hidden-word" not in page


def test_what_is_missing_shows_beside_its_field_and_what_was_typed_stays(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    fields = {"kind": "telegram", "name": "Ours", "config.chat": "@ours-and-more"}
    answer = browser.post("/notifications/channels", **fields)
    assert answer.status_code == 422
    assert 'value="@ours-and-more"' in answer.text
    assert 'value="Ours"' in answer.text
    assert re.search(r'name="config.chat"[^>]*aria-invalid="true"', answer.text)
    assert "It is not written as it has to be." in text_of(answer.text)
    fields = {"kind": "telegram", "name": "Ours", "config.chat": "@ours"}
    answer = browser.post("/notifications/channels", **fields)
    assert answer.status_code == 422
    assert re.search(r'name="credentials.token"[^>]*aria-invalid="true"', answer.text)
    assert "This is needed." in text_of(answer.text)


def test_a_slack_channel_without_its_address_says_where_to_write_it(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    answer = browser.post("/notifications/channels", kind="slack", name="Room")
    assert answer.status_code == 422
    assert re.search(r'name="credentials.url"[^>]*aria-invalid="true"', answer.text)
    assert "config.url" not in answer.text


def test_a_kind_that_does_not_exist_offers_those_that_do(sign_in: SignIn) -> None:
    answer = sign_in(role="analyst").post("/notifications/channels", kind="pigeon", name="x")
    assert answer.status_code == 422
    assert "There is no such kind of channel." in text_of(answer.text)
    assert all(f"kind={kind}" in answer.text for kind in KINDS)


def test_credentials_are_replaced_and_quiet_hours_are_set(sign_in: SignIn) -> None:
    browser = sign_in(role="analyst")
    fields = {"kind": "jsm", "name": "On call", **fields_for("jsm")}
    browser.post("/notifications/channels", **fields)
    page = browser.get("/notifications/channels").text
    match = re.search(r"/notifications/channels/([0-9a-f-]{36})\" translate=\"no\">On call", page)
    assert match is not None
    path = f"/notifications/channels/{match[1]}"
    saved = browser.post(f"{path}/credentials", **{"credentials.api_key": "another-hidden-word"})
    assert saved.headers["location"].endswith("?done=saved")
    assert "hidden-word" not in browser.get(path).text
    period = {"day": ["0", "4"], "start": "22:00", "end": "06:30", "timezone": "America/Sao_Paulo"}
    assert browser.post(f"{path}/quiet-hours", **period).status_code == 303
    shown = text_of(browser.get(path).text)
    assert "22:00 \N{EN DASH} 06:30 America/Sao_Paulo" in shown
    assert "Monday, Friday" in shown
    wrong = browser.post(f"{path}/quiet-hours", **{**period, "timezone": "Mars/Base"})
    assert wrong.status_code == 422
    browser.post(f"{path}/no-quiet-hours")
    assert "There are none." in text_of(browser.get(path).text)


def test_a_document_of_a_schema_is_typed() -> None:
    schema = {
        "properties": {
            "count": {"type": "integer", "default": 3, "title": "Count"},
            "map": {"type": "object", "title": "Map"},
            "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            "on": {"type": "boolean"},
        },
        "required": ["count"],
    }
    fields = fields_of(schema, "config")
    assert [field.control for field in fields] == ["number", "json", "text", "flag"]
    form = FormFields({"config.count": ["7"], "config.map": ['{"a": 1}'], "config.maybe": [""]})
    assert document_of(form, fields) == {"count": 7, "map": {"a": 1}, "on": False}
    for name, text in (("count", "many"), ("map", "[1, 2"), ("map", "[" * 100_000)):
        with pytest.raises(InvalidInput) as error:
            document_of(FormFields({f"config.{name}": [text]}), fields)
        assert error.value.details["field"] == f"config.{name}"


def test_a_viewer_reads_channels_and_is_offered_no_form(sign_in: SignIn) -> None:
    browser = sign_in(role="viewer")
    answer = browser.get("/notifications/channels/new")
    assert answer.status_code == 403
    assert "Your role may not do this." in answer.text
    assert 'action="/console/notifications/channels"' not in answer.text

"""Templates: plain data in, text out; whatever else they try is refused soon, and costs little."""

import json
import time
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from services.notifications.templates.rendering import sample_of, with_text, write_text
from services.notifications.topics import EVENT_TOPICS
from shared.errors import InvalidInput
from shared.memory import resident_memory
from tests.notifications.conftest import change

SAMPLE = sample_of("observables")
LIST = "{% for match in matches %}{{ loop.index }} {{ match.value }}\n{% endfor %}"


def put(bench: Any, rule: dict[str, Any], text: str) -> Any:
    return bench.api.put(f"/v1/rules/{rule['id']}/template", json={"text": text})


def test_a_template_writes_the_text_of_messages(bench: Any, receiver: Any) -> None:
    channel = bench.channel(receiver.url, kind="log", config={})
    rule = bench.rule(channel)
    answer = put(bench, rule, LIST)
    assert answer.status_code == 200, answer.text
    assert answer.json()["preview"].splitlines()[0] == "1 192[.]0[.]2[.]1"
    assert bench.api.get(f"/v1/rules/{rule['id']}/template").json()["text"] == LIST
    assert bench.api.delete(f"/v1/rules/{rule['id']}/template").status_code == 204
    assert bench.api.get(f"/v1/rules/{rule['id']}/template").status_code == 404


@pytest.mark.parametrize("topic", EVENT_TOPICS)
def test_a_template_is_tried_on_an_event_of_the_rules_topic(
    bench: Any, receiver: Any, topic: str
) -> None:
    channel = bench.channel(receiver.url, kind="log", config={}, max_tlp="red")
    rule = bench.rule(channel, topic=topic, filter="", group_by=["source.name"])
    paths = [field.path for field in EVENT_TOPICS[topic].fields]
    text = "{{ matches[0].title }}" + "".join(
        "|{{ matches[0].fields['" + path + "'] }}" for path in paths
    )
    answer = put(bench, rule, text)
    assert answer.status_code == 200, answer.text
    assert answer.json()["preview"].count("|") == len(paths)
    own = bench.api.post("/v1/templates/preview", json={"text": text, "topic": topic})
    assert own.json()["preview"] == answer.json()["preview"]
    # What an observable has not is refused for its rules, and so is a field of no event of this.
    assert bench.api.post("/v1/templates/preview", json={"text": text}).status_code == 422
    wrong = put(bench, rule, "{{ matches[0].fields['no.such'] }}")
    assert (wrong.status_code, wrong.json()["line"]) == (422, 1)


def test_a_message_is_sent_with_it_or_in_the_channels_own_words(bench: Any, receiver: Any) -> None:
    config = {}
    channel = bench.channel(receiver.url, kind="mattermost", config=config, **_url(receiver))
    feed = f"feed-{uuid4().hex[:6]}"
    good = bench.rule(channel, sources=[feed])
    bad = bench.rule(channel, sources=[feed])
    text = "Look: {{ matches[0].value }} *now* @channel"
    assert put(bench, good, text).status_code == 200
    # It writes the sample, which has a tag; the event has none.
    assert put(bench, bad, "{{ matches[0].tags[0] }}").status_code == 200
    bench.handle(bench.event(feed, change(value="evil.example", type="domain-name")))
    bench.deliver()
    assert len(receiver.received) == 2
    texts = [json.loads(sent.body)["text"] for sent in receiver.received]
    (shown,) = [text for text in texts if "Look" in text]
    assert "evil\\[\\.\\]example" in shown
    assert "\\*now\\*" in shown
    assert "@channel" not in shown
    assert [row["state"] for row in bench.ledger(good)] == ["delivered"]
    # A template that cannot be used keeps nobody from being told.
    (delivery,) = bench.ledger(bad)
    assert delivery["state"] == "delivered"
    (own,) = [text for text in texts if "Look" not in text]
    assert "evil" in own
    assert "line 1" in bench.api.get(f"/v1/deliveries/{delivery['id']}").text


def test_what_others_write_silences_no_rule_by_its_template(bench: Any, receiver: Any) -> None:
    """Long values let a template write more than it may; a webhook has no words at all."""
    people = bench.channel(receiver.url, kind="mattermost", config={}, **_url(receiver))
    programs = bench.channel(receiver.url)
    feed = f"feed-{uuid4().hex[:6]}"
    rule = bench.rule(people, programs, sources=[feed])
    text = "{% for match in matches %}{{ match.value }} {{ match.tags|join(', ') }}{% endfor %}"
    assert put(bench, rule, text).status_code == 200
    long = [
        change(value=f"http://evil.example/{number}/{'a' * 400}", type="url", tags=["b" * 150])
        for number in range(60)
    ]
    bench.handle(bench.event(feed, *long))
    bench.deliver()
    assert len(receiver.received) == 2
    details = [bench.api.get(f"/v1/deliveries/{row['id']}") for row in bench.ledger(rule)]
    assert {answer.json()["state"] for answer in details} == {"delivered"}
    assert sum("own words" in answer.text for answer in details) == 1


def _url(receiver: Any) -> dict[str, Any]:
    return {"credentials": {"url": receiver.url}}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\n{% for %}", 2),
        ("a\n\n{{ nothing }}", 3),
        ("{{ matches.0.nothing }}", 1),
        ("{{ rule.__class__ }}", 1),
        ("{{ rule['__class__'] }}", 1),
        ("{{ rule.format }}", 1),
        ("{{ rule.upper() }}", 1),
        ("{{ ''|attr('__class__') }}", 1),
        ("{{ 'a' * 10000000 }}", 1),
        ("{{ 9 ** 999999 }}", 1),
        ("{{ '%09999999999d' % 1 }}", 1),
        ("{% include 'x' %}", 1),
        ("{% import 'x' as y %}", 1),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", 1),
        ("{{ range(9) }}", 1),
        ("{{ cycler }}", 1),
        ("{% for a in matches recursive %}{{ loop(matches) }}{% endfor %}", 1),
        ("{{ 1 / 0 }}", 1),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_with_its_place(text: str, line: int) -> None:
    with pytest.raises(InvalidInput) as refused:
        write_text(text, SAMPLE)
    assert refused.value.details["line"] == line, refused.value.message
    assert refused.value.details["field"] == "text"


NESTED = "{% for a in m %}" * 9 + "{% endfor %}" * 9
LOOP = "{% set m = ('a' * 90000)|list %}" + NESTED
ALLOCATION = (
    "{% set a = ('a' * 90000)|list %}{% for x in a %}{{ (a|batch(1)|list)|length }}{% endfor %}"
)


@pytest.mark.parametrize(
    "text",
    [
        LOOP,
        ALLOCATION,
        "{{ ('a' * 90000)|replace('a', 'a' * 90000)|length }}",
        "{{" + "(" * 4000,
        "{% if 1 %}" * 700,
        "{% set a = 'a' * 90000 %}{% for x in a %}{{ a }}{% endfor %}",
    ],
    ids=["loop", "allocation", "replace", "brackets", "nested", "output"],
)
def test_what_takes_too_much_is_refused_soon(text: str) -> None:
    write_text("warm", SAMPLE)
    before = resident_memory()
    started = time.monotonic()
    with pytest.raises(InvalidInput):
        write_text(text, SAMPLE)
    seconds = time.monotonic() - started
    assert seconds < 5.0
    assert resident_memory() - before < 16 << 20
    assert write_text("{{ rule }}", SAMPLE) == "Sample rule"


def test_what_others_have_written_is_inert() -> None:
    hostile = replace(
        SAMPLE,
        rule="{{ 7 * 7 }} @here",
        labels={"source.name": "http://a.example"},
        matches=[{"value": "http://evil.example/{{ 7 * 7 }}\n@here", "tags": ["http://b.example"]}],
    )
    text = with_text(hostile, "{{ rule }} {{ labels }} {{ matches }}").text
    assert text is not None
    assert "49" not in text
    assert "http:" not in text
    assert "@here" not in text
    assert "\n" not in text


def test_templates_are_of_one_tenant(bench: Any, receiver: Any) -> None:
    rule = bench.rule(bench.channel(receiver.url))
    assert put(bench, rule, LIST).status_code == 200
    other = bench.client_for("notifications", tenant="globex", role="analyst")
    path = f"/v1/rules/{rule['id']}/template"
    assert other.get(path).status_code == 404
    assert other.put(path, json={"text": "x"}).status_code == 404
    assert other.delete(path).status_code == 404
    reader = bench.client_for("notifications", tenant="acme", role="viewer")
    assert reader.put(path, json={"text": "x"}).status_code == 403
    assert reader.get(path).status_code == 200
    refused = put(bench, rule, "{{ nothing }}")
    assert refused.status_code == 422
    assert refused.json()["field"] == "text"
    assert refused.json()["line"] == 1
    assert bench.api.get(path).json()["text"] == LIST
    assert bench.api.delete(f"/v1/rules/{rule['id']}").status_code == 204
    assert bench.api.get(path).status_code == 404

"""Every format, every marking: it binds to what it marks, and what is closed is not published."""

import io
import json
from contextlib import nullcontext
from typing import Any, Final

import pytest

from services.feeds.formats.registry import format_named
from services.feeds.snapshots.document_parser import DocumentParser
from services.feeds.snapshots.parsed_blocks import ParsedBlock, ParseOrder, ParsingEnded
from shared.stix.markings import NOT_FOR_ALL_TENANTS, marking_of
from tests.feeds.formats.contract import parse

ADDRESS: Final = "45.33.32.156"
OTHER: Final = "45.33.32.157"
TLP_1: Final = {
    "clear": "613f2e26-407d-48c7-9eca-b8e91df99dc9",
    "green": "34098fce-860f-48ae-8e50-ebd3cc5e41da",
    "amber": "f88d31f6-486f-44da-b317-01333bde0b82",
    "red": "5e57c739-391a-4eb3-b6be-7d15ca92d5ed",
}
TLP_2: Final = {
    "clear": "94868c89-83c2-464b-929b-a1a8aa3c8487",
    "green": "bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    "amber": "55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    "amber+strict": "939a9414-2ddd-4d32-a0cd-375ea402b003",
    "red": "e828b379-4e03-4974-9ac4-e53a884c97c1",
}
LABELS: Final = {
    "tlp:white": "clear",
    "TLP:GREEN": "green",
    "tlp:amber": "amber",
    "TLP:AMBER+STRICT": "amber+strict",
    "tlp:red": "red",
    "tlp:mauve": "closed",
    "PAP:RED": "closed",
}
"""Tags, and the markings that they state."""


def stix(*objects: dict[str, Any]) -> bytes:
    return json.dumps({"type": "bundle", "id": "bundle--1", "objects": list(objects)}).encode()


def indicator(value: str, **properties: Any) -> dict[str, Any]:
    pattern = f"[ipv4-addr:value = '{value}']"
    return {"type": "indicator", "id": f"indicator--{value}", "pattern": pattern, **properties}


def definition(**properties: Any) -> dict[str, Any]:
    return {"type": "marking-definition", "id": "marking-definition--own", **properties}


OWN: Final = ["marking-definition--own"]
STIX_MARKINGS: Final = [
    *[
        pytest.param([], [f"marking-definition--{identity}"], level, id=f"{version}-{level}")
        for version, levels in (("tlp1", TLP_1), ("tlp2", TLP_2))
        for level, identity in levels.items()
    ],
    pytest.param([], OWN, "closed", id="a definition that is not there"),
    pytest.param([definition()], OWN, "closed", id="an empty definition"),
    pytest.param([definition(definition_type="iep")], OWN, "closed", id="an unknown kind"),
    pytest.param([definition(name="PAP:RED")], OWN, "closed", id="PAP:RED by its name"),
    pytest.param([definition(name="PAP:GREEN")], OWN, None, id="PAP:GREEN by its name"),
    pytest.param(
        [definition(definition_type="pap", definition={"pap": "red"})], OWN, "closed", id="PAP:RED"
    ),
    pytest.param(
        [definition(definition_type="statement", definition={"statement": "Copyright 2026"})],
        OWN,
        None,
        id="a statement",
    ),
]


@pytest.mark.parametrize(("definitions", "refs", "marking"), STIX_MARKINGS)
@pytest.mark.parametrize("way", ["indicator", "observable", "granular"])
def test_a_marking_of_stix_binds_to_its_object_alone(
    definitions: list[dict[str, Any]], refs: list[str], marking: str | None, way: str
) -> None:
    observable = {"type": "ipv4-addr", "id": "ipv4-addr--1", "value": ADDRESS}
    marked = {
        "indicator": indicator(ADDRESS, object_marking_refs=refs),
        "observable": {**observable, "object_marking_refs": refs},
        "granular": indicator(
            ADDRESS, granular_markings=[{"marking_ref": refs[0], "selectors": ["pattern"]}]
        ),
    }[way]
    document = stix(*definitions, marked, indicator(OTHER))
    whole = parse(format_named("stix"), document)
    markings = {item.value: marking_of(item.tags) for item in whole.indicators}
    assert markings == {ADDRESS: marking, OTHER: None}
    assert published("stix", document) == {OTHER, *([ADDRESS] if is_for_all(marking) else [])}


def test_a_statement_is_kept() -> None:
    statement = definition(definition_type="statement", definition={"statement": "© 2026 Example"})
    whole = parse(
        format_named("stix"), stix(statement, indicator(ADDRESS, object_marking_refs=OWN))
    )
    assert whole.indicators[0].tags == ("statement:© 2026 Example",)


def document_of(format_: str, tag: str) -> tuple[bytes, dict[str, Any]]:
    """A document that marks one address, and its options."""
    if format_ == "misp":
        attributes = [
            {"type": "ip-dst", "value": ADDRESS, "to_ids": True, "Tag": [{"name": tag}]},
            {"type": "ip-dst", "value": OTHER, "to_ids": True},
        ]
        return json.dumps({"Event": {"info": "x", "Attribute": attributes}}).encode(), {}
    if format_ == "stix":
        return stix(indicator(ADDRESS, labels=[tag]), indicator(OTHER)), {}
    if format_ == "csv":
        text = f"ip,tags\n{ADDRESS},c2;{tag}\n{OTHER},c2\n"
        return text.encode(), {"columns": {"value": "ip", "tags": "tags"}}
    items = [{"ip": ADDRESS, "tags": ["c2", tag]}, {"ip": OTHER, "tags": ["c2"]}]
    return json.dumps(items).encode(), {"items": "[*]", "value": "ip", "tags": "tags"}


@pytest.mark.parametrize("format_", ["misp", "stix", "csv", "json"])
@pytest.mark.parametrize(("tag", "marking"), LABELS.items())
def test_a_tag_that_marks_binds_to_its_value_alone(format_: str, tag: str, marking: str) -> None:
    document, options = document_of(format_, tag)
    whole = parse(format_named(format_), document, **options)
    markings = {item.value: marking_of(item.tags) for item in whole.indicators}
    assert markings == {ADDRESS: marking, OTHER: None}
    expected = {OTHER, *([ADDRESS] if is_for_all(marking) else [])}
    assert published(format_, document, options) == expected


@pytest.mark.parametrize("format_", ["html", "report"])
@pytest.mark.parametrize(("label", "marking"), list(LABELS.items())[:5])
def test_the_label_of_a_report_marks_its_values(format_: str, label: str, marking: str) -> None:
    text = f"<html><body><p>{label.upper()}</p><p>It calls {ADDRESS}.</p></body></html>"
    if format_ == "report":
        text = f"{label.upper()}\n\nIt calls {ADDRESS}. TLP:RED is for eyes only.\n"
    whole = parse(format_named(format_), text.encode())
    assert [marking_of(item.tags) for item in whole.indicators] == [marking]
    assert published(format_, text.encode()) == ({ADDRESS} if is_for_all(marking) else set())


def test_a_marking_is_kept_where_there_are_more_tags_than_are_kept() -> None:
    tags = [{"name": f"tag {number}"} for number in range(60)]
    attribute = {"type": "ip-dst", "value": ADDRESS, "to_ids": True}
    event = {"Event": {"Attribute": [{**attribute, "Tag": [*tags, {"name": "tlp:red"}]}]}}
    (item,) = parse(format_named("misp"), json.dumps(event).encode()).indicators
    assert marking_of(item.tags) == "red"


def is_for_all(marking: str | None) -> bool:
    return marking not in NOT_FOR_ALL_TENANTS


def published(format_: str, document: bytes, options: dict[str, Any] | None = None) -> set[str]:
    """What a feed of `public` publishes; what it withholds is counted."""
    parser = DocumentParser(
        format_named(format_), options or {}, ParseOrder(wants_texts=True), is_public=True
    )
    values: set[str] = set()
    dropped = 0
    for message in parser.parse(lambda: nullcontext(io.BytesIO(document))):
        if isinstance(message, ParsedBlock):
            values |= {json.loads(line)["value"] for line in message.texts.splitlines()}
        if isinstance(message, ParsingEnded):
            dropped = message.summary.dropped.get("marked for fewer readers", 0)
    parser = DocumentParser(format_named(format_), options or {}, ParseOrder(wants_texts=True))
    texts = [
        line
        for message in parser.parse(lambda: nullcontext(io.BytesIO(document)))
        if isinstance(message, ParsedBlock)
        for line in message.texts.splitlines()
    ]
    assert len(texts) == len(values) + dropped
    return values

"""Documents of PyMISP, misp-stix and stix2: only what is meant to match matches, under its type."""

import json
from itertools import chain
from typing import Any

import pytest

from services.feeds.formats import format_named, guess_format
from shared.errors import InvalidInput
from tests.feeds.formats.contract import parse
from tests.feeds.formats.generated_events import (
    event_of_attributes,
    event_of_objects,
    template_names,
)
from tests.feeds.formats.library_documents import (
    misp_attributes,
    pairs_of_attribute,
    pairs_of_stix,
    read_documents,
)
from tests.feeds.formats.stix_converter import convert

LIBRARIES = ("pymisp", "misp-stix", "stix2")
OBJECTS_OF_AN_EVENT = 24
TEMPLATES = [
    template_names()[at : at + OBJECTS_OF_AN_EVENT]
    for at in range(0, len(template_names()), OBJECTS_OF_AN_EVENT)
]


def read(name: str, document: bytes) -> tuple[str, set[tuple[str, str]], set[tuple[str, str]]]:
    """The format of a document, its values that count, and those that it takes back."""
    format_name, _ = guess_format(name, document)
    whole = parse(format_named(format_name), document)
    taken_back = {(str(entry.type), entry.value) for entry in whole.indicators if entry.retracted}
    counted = {(str(entry.type), entry.value) for entry in whole.indicators if not entry.retracted}
    return format_name, counted, taken_back


def meant_values(document: object) -> set[tuple[str, str]]:
    """The values of a document of MISP that are for detection, under the types that it declares."""
    return set(
        chain.from_iterable(
            pairs_of_attribute(entry.type, entry.value)
            for entry in misp_attributes(document)
            if entry.is_meant
        )
    )


@pytest.mark.parametrize("library", ["pymisp", "misp-stix"])
def test_values_of_misp_are_for_detection_and_of_their_declared_type(library: str) -> None:
    values = 0
    for name, data in read_documents(library).items():
        try:
            format_name, counted, _ = read(f"{name}.json", data)
        except InvalidInput:
            continue
        if format_name == "misp":
            assert counted <= meant_values(json.loads(data)), name
            values += len(counted)
    assert values > 150


@pytest.mark.parametrize("library", LIBRARIES)
def test_values_of_stix_are_sought_and_of_their_declared_type(library: str) -> None:
    values = 0
    documents = 0
    for name, data in read_documents(library).items():
        try:
            format_name, counted, _ = read(f"{name}.json", data)
        except InvalidInput:
            continue
        if format_name == "stix":
            wanted_pairs, _ = pairs_of_stix(json.loads(data))
            assert counted <= wanted_pairs, name
            documents += 1
            values += len(counted)
    assert (documents, values) >= {"pymisp": (1, 0), "misp-stix": (550, 500), "stix2": (250, 60)}[
        library
    ]


@pytest.mark.parametrize("library", LIBRARIES)
def test_no_document_passes_in_silence(library: str) -> None:
    for name, data in read_documents(library).items():
        try:
            format_name, _ = guess_format(f"{name}.json", data)
            whole = parse(format_named(format_name), data)  # it checks the account
        except InvalidInput:
            continue
        assert whole.account is not None
        assert whole.account.total or not whole.dropped, name


def test_every_type_of_attribute_with_every_flag() -> None:
    document = event_of_attributes()
    _, counted, taken_back = read("event.json", json.dumps(document).encode())
    assert counted <= meant_values(document)
    assert len(counted) > 60
    deleted = [
        pairs_of_attribute(entry["type"], entry["value"])
        for entry in document["Event"]["Attribute"]
        if entry.get("deleted")
    ]
    assert taken_back <= set(chain.from_iterable(deleted))
    assert taken_back


@pytest.mark.parametrize("names", TEMPLATES, ids=lambda names: names[0])
def test_objects_of_every_template(names: list[str]) -> None:
    document = event_of_objects(names, 1000, with_deleted=True)
    data = json.dumps(document).encode()
    assert guess_format("event.json", data)[0] == "misp"
    _, counted, taken_back = read("event.json", data)
    assert counted <= meant_values(document)
    assert not taken_back & counted


@pytest.fixture(scope="module")
def converted_events() -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    """Events with objects of some templates each, and their bundles by the version of STIX."""
    events = [event_of_objects(names, 2000, with_deleted=False) for names in TEMPLATES]
    return list(zip(events, convert(events), strict=True))


@pytest.mark.parametrize("version", ["2.0", "2.1"])
@pytest.mark.parametrize("number", range(len(TEMPLATES)))
def test_objects_of_every_template_converted_to_stix(
    number: int, version: str, converted_events: list[tuple[dict[str, Any], dict[str, bytes]]]
) -> None:
    # MISP exports no deleted attributes. What makes a pattern of an object takes all of its values
    # if any is for detection, and the pattern does not tell them apart.
    document, bundles = converted_events[number]
    data = bundles[version]
    assert guess_format("bundle.json", data)[0] == "stix"
    _, counted, _ = read("bundle.json", data)
    attributes = misp_attributes(document)
    sought = {entry.owner for entry in attributes if entry.is_meant}
    values = set(
        chain.from_iterable(
            pairs_of_attribute(entry.type, entry.value)
            for entry in attributes
            if entry.owner in sought
        )
    )
    assert counted <= pairs_of_stix(json.loads(data))[0]
    unmeant = {
        pair
        for entry in attributes
        for pair in pairs_of_attribute(entry.type, entry.value)
        if entry.owner not in sought
    }
    assert not counted & (unmeant - values)

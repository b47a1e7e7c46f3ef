"""The catalogue: documented, and compatible: a version adds fields, and never changes them."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from shared.errors import InvalidInput
from shared.events import CATALOGUE, MAX_EVENT_BYTES, ConsumedRecord, Event, Topic, asyncapi, parse
from shared.events.audit import RECORDED, Recorded

GOLDEN = Path(__file__).parent / "golden"
DOCUMENT = Path(__file__).parents[3] / "docs" / "asyncapi.yaml"


def test_the_document_is_the_code() -> None:
    assert DOCUMENT.read_text() == asyncapi.render(), (
        "run: python -m shared.events.asyncapi > docs/asyncapi.yaml"
    )


def test_every_topic_is_a_channel() -> None:
    channels = yaml.safe_load(DOCUMENT.read_text())["channels"]
    assert {channel["address"] for channel in channels.values()} == {
        topic.name for topic in CATALOGUE
    }


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_payloads_written_by_older_releases_are_still_read_in_full(topic: Topic[Any]) -> None:
    payloads = sorted(GOLDEN.glob(f"{topic.name}.*.json"))
    assert payloads, f"keep one real payload as {GOLDEN.name}/{topic.name}.1.json"
    for path in payloads:
        old = msgspec.json.decode(path.read_bytes())
        again = msgspec.json.decode(
            msgspec.json.encode(msgspec.json.decode(path.read_bytes(), type=topic.payload))
        )
        assert _contained(old, again), f"{path.name}: a field was changed or removed"


def _contained(old: Any, new: Any) -> bool:
    if isinstance(old, dict):
        return isinstance(new, dict) and all(
            key in new and _contained(value, new[key]) for key, value in old.items()
        )
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(_contained, old, new))
    return old == new


@pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.name)
def test_names_keep_their_form(topic: Topic[Any]) -> None:
    service, verb, version = topic.name.split(".")
    assert service.isalpha()
    assert verb.isalpha()
    assert version == "v1"
    assert topic.dead == f"{topic.name}.dead"


def record(event: Event[Any], **headers: bytes | None) -> ConsumedRecord:
    pairs = {**dict(event.headers()), **headers}
    return ConsumedRecord(
        event.topic.name,
        0,
        0,
        event.key,
        event.payload(),
        [(k, v) for k, v in pairs.items() if v is not None],
    )


def test_an_event_survives_the_way_through_kafka() -> None:
    sent = Event(
        RECORDED, Recorded("kim", "feeds.create", "x"), "acme", "/services/feeds", key=b"acme"
    )
    read = parse(RECORDED, record(sent), msgspec.json.Decoder(Recorded))
    assert (read.data, read.tenant, read.source, read.id, read.time) == (
        sent.data,
        sent.tenant,
        sent.source,
        sent.id,
        sent.time,
    )


@pytest.mark.parametrize("missing", ["ce_id", "ce_type", "ce_source", "ce_tenant"])
def test_a_record_without_its_attributes_names_the_one_that_is_missing(missing: str) -> None:
    sent = Event(RECORDED, Recorded("kim", "feeds.create", "x"), "acme", "/services/feeds")
    with pytest.raises(InvalidInput, match=missing):
        parse(RECORDED, record(sent, **{missing: None}), msgspec.json.Decoder(Recorded))


def test_an_event_that_is_too_large_is_refused_where_it_is_made() -> None:
    event = Event(RECORDED, Recorded("kim", "x" * MAX_EVENT_BYTES, "x"), "acme", "/services/feeds")
    with pytest.raises(InvalidInput, match="limit"):
        event.payload()

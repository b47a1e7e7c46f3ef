"""The objects that this platform writes are read back as what they were."""

import json

import pytest

from services.feeds.formats.registry import format_named
from shared.stix import ObservableType, sco
from shared.stix.exchange import extension_definitions
from tests.feeds.formats.contract import pairs, parse
from tests.shared.stix.test_exchange import random_observables

IMPHASH = "f34d5f2d4577ed6d9ceec516c1f5a744"


@pytest.mark.parametrize("kind", sorted(ObservableType))
def test_an_own_object_is_read_as_what_it_was(kind: ObservableType) -> None:
    ((kind, value),) = random_observables({kind}, 1, 11)
    objects = [*extension_definitions(), sco(kind, value)]
    document = json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects}).encode()
    whole = parse(format_named("stix"), document)
    assert pairs(whole) == [(str(kind), value)]


@pytest.mark.parametrize(
    ("pattern", "kind", "value"),
    [
        (
            f"[file:extensions.'windows-pebinary-ext'.imphash = '{IMPHASH}']",
            "file-imphash",
            IMPHASH,
        ),
        (
            (
                "[network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'"
                " = 'Mozilla/4.0  (x)']"
            ),
            "user-agent",
            "Mozilla/4.0  (x)",
        ),
        (f"[x-ja3:value = '{IMPHASH}']", "ja3", IMPHASH),
        ("[ipv6-addr:value = '::ffff:45.33.32.1']", "ipv4-addr", "45.33.32.1"),
        ("[ipv4-addr:value = '45.33.32.1/8']", "ipv4-addr", "45.33.32.1"),
        ("[user-agent:value = 'a  b']", "user-agent", "a  b"),
    ],
)
def test_patterns_of_types_that_are_stored_are_read(pattern: str, kind: str, value: str) -> None:
    indicator = {"type": "indicator", "id": "indicator--1", "pattern": pattern}
    whole = parse(format_named("stix"), json.dumps(indicator).encode())
    assert pairs(whole) == [(kind, value)]

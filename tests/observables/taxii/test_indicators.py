"""Indicators of lists: as stix2 would write them, and their patterns match one observable each."""

import json
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st
from stix2patterns.v21.pattern import Pattern

from services.observables.taxii.indicators import (
    ListedIndicator,
    creation_of,
    indicator_id,
    pattern_of,
    revocation_of,
    write_indicator,
)
from services.observables.taxii.posted_objects import MARKING_IDS
from shared.stix import ObservableType
from shared.stix.markings import MARKINGS

COLLECTION = UUID(int=5)
START = datetime(2026, 11, 30, 8, tzinfo=UTC)
kinds = st.sampled_from([kind for kind in ObservableType if kind != ObservableType.VULNERABILITY])
values = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("'\\\"/]"), min_size=1
)
HASHES = {"file-md5": 32, "file-sha1": 40, "file-sha256": 64, "file-sha512": 128}
observables = st.tuples(
    st.sampled_from(["url", "domain-name", "email-addr", "mutex", "file-name", "user-agent"]),
    values,
) | st.sampled_from(sorted(HASHES)).map(lambda kind: (kind, "a" * HASHES[kind]))
moments = st.integers(0, 10**13).map(lambda count: START + timedelta(microseconds=count))


def listed(kind: str, value: str, created: datetime, score: int, marking: str) -> ListedIndicator:
    pattern = pattern_of(kind, value)
    assert pattern is not None
    identity = indicator_id(COLLECTION, pattern, 1)
    return ListedIndicator(identity, kind, value, score, marking, creation_of(created))


@given(
    observables,
    moments,
    moments,
    st.integers(0, 100),
    st.sampled_from(sorted(MARKING_IDS)),
    st.booleans(),
)
def test_an_indicator_is_what_stix2_makes_of_it(
    observable: tuple[str, str],
    created: datetime,
    left: datetime,
    score: int,
    marking: str,
    is_revoked: bool,
) -> None:
    kind, value = observable
    indicator = listed(kind, value, created, score, marking)
    revoked = revocation_of(left, indicator.created) if is_revoked else None
    fields = {"revoked": True, "valid_until": revoked} if revoked else {}
    expected = stix2.Indicator(
        id=indicator.object_id,
        created=indicator.created,
        modified=revoked or indicator.created,
        indicator_types=["malicious-activity"],
        pattern=pattern_of(kind, value),
        pattern_type="stix",
        pattern_version="2.1",
        valid_from=indicator.created,
        confidence=score,
        object_marking_refs=[MARKING_IDS[marking]],
        **fields,
    )
    written = json.loads(write_indicator(indicator, revoked))
    reference = json.loads(expected.serialize())
    # stix2 writes as few digits of a fraction as it can where STIX does not ask for three.
    for name in ("valid_from", "valid_until"):
        assert (name in written) == (name in reference)
        if name in written:
            moment = datetime.fromisoformat(written.pop(name))
            assert moment == datetime.fromisoformat(reference.pop(name))
    assert written == reference


@given(kinds, values)
def test_a_pattern_names_the_value_exactly(kind: str, value: str) -> None:
    if kind == ObservableType.ASN:
        value = "AS64500"
    pattern = pattern_of(kind, value)
    assert pattern is not None
    comparisons = Pattern(pattern).inspect().comparisons
    ((_path, operator, literal),) = [entry for named in comparisons.values() for entry in named]
    if kind == ObservableType.ASN:
        assert literal == "64500"
        return
    assert operator == ("ISSUBSET" if kind in ("ipv4-addr", "ipv6-addr") and "/" in value else "=")
    assert re.sub(r"\\(.)", r"\1", literal[1:-1], flags=re.DOTALL) == value


@pytest.mark.parametrize(
    ("kind", "value", "pattern"),
    [
        ("ipv4-addr", "198.51.100.7", "[ipv4-addr:value = '198.51.100.7']"),
        ("ipv4-addr", "198.51.100.0/24", "[ipv4-addr:value ISSUBSET '198.51.100.0/24']"),
        ("url", "http://a.example/?q='x'", "[url:value = 'http://a.example/?q=\\'x\\'']"),
        ("file-sha256", "ab", "[file:hashes.'SHA-256' = 'ab']"),
        ("autonomous-system", "AS64500", "[autonomous-system:number = 64500]"),
    ],
)
def test_patterns_are_those_of_the_standard(kind: str, value: str, pattern: str) -> None:
    assert pattern_of(kind, value) == pattern


def test_what_no_pattern_can_name_has_none() -> None:
    assert pattern_of(ObservableType.VULNERABILITY, "CVE-2026-1") is None


def test_ids_are_the_same_for_a_collection_a_pattern_and_one_time_in_the_list() -> None:
    identity = indicator_id(COLLECTION, "[a:value = 'b']", 3)
    assert identity == indicator_id(COLLECTION, "[a:value = 'b']", 3)
    others = {
        indicator_id(UUID(int=6), "[a:value = 'b']", 3),
        indicator_id(COLLECTION, "[a:value = 'c']", 3),
        indicator_id(COLLECTION, "[a:value = 'b']", 4),
    }
    assert identity not in others
    assert len(others) == 3


def test_every_level_of_tlp_has_a_definition() -> None:
    assert set(MARKING_IDS) == set(MARKINGS) - {"closed"}

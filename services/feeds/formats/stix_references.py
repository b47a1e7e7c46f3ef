"""What the objects of a STIX bundle state about each other: versions, families, markings, times."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from services.feeds.formats import fields
from services.feeds.formats.base import DroppedItem
from services.feeds.formats.stix_objects import BundleObject, as_dict, as_list
from shared.stix.markings import UNKNOWN_MARKING, tlp_tag
from shared.timestamps import parse_timestamp

_FAMILY_TYPES = frozenset({"malware", "tool"})
_TLP_EXTENSION = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
"""The extension by which marking definitions give a level of TLP 2.0."""
_MAX_STATEMENT = 110
"""Characters of a statement marking: with its prefix it is one tag."""
_REPORTS = frozenset({"observed-data", "opinion", "sighting"})
"""Types of objects that tell what somebody saw, or thinks of another object."""
_DISAGREEMENT = {"strongly-disagree": 1.0, "disagree": 0.5}
"""The share of its confidence that an object loses by the opinion of others (STIX 2.1 §5.10)."""
_MISP_LABEL = "misp:"
"""Begins the labels by which misp-stix says what an attribute or object of MISP was."""
_NOT_FOR_DETECTION = 'misp:to_ids="False"'
DETECTION_FLAG = b"misp:to_ids"
"""What a bundle holds that says of indicators whether they are for detection."""
_TLP = {
    # STIX 2.1 §7.2.1.4, and the TLP 2.0 definitions that OASIS published for it.
    "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": "tlp:clear",
    "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": "tlp:green",
    "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": "tlp:amber",
    "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": "tlp:red",
    "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487": "tlp:clear",
    "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb": "tlp:green",
    "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421": "tlp:amber",
    "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003": "tlp:amber+strict",
    "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1": "tlp:red",
}


class References:
    """What the objects of a bundle state about each other.

    Attributes:
        now: this moment, as the first 19 characters of RFC 3339 in UTC.
        newest: when an object's newest version was made, for ids that have several versions.
        families: indicator id -> name of the first malware or tool that it indicates.
        techniques: indicator id -> tags of the ATT&CK techniques that it indicates.
        markings: id of a marking definition -> the tag for it: a level of TLP or PAP, or a
            statement. A definition that says nothing we know is an unknown marking.
        has_flags: whether the bundle may say of indicators that they are not for detection.
        early_ends: number of indicators that end before they begin.
        observed: ids of cyber-observables that somebody saw: that says nothing against them. Which
            values are for detection, indicators say.
        sightings: id of an object -> when it was seen last, by the sightings in the bundle.
        opinions: id of an object -> the strongest disagreement with it, see `_DISAGREEMENT`.
    """

    def __init__(self, objects: Sequence[BundleObject | DroppedItem], *, has_flags: bool) -> None:
        self.has_flags = has_flags
        self.now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
        self._plain_tags_cache: dict[tuple[Any, ...], tuple[str, ...]] = {}
        decoded = _decoded(objects)
        self._objects = decoded
        self._bundle_date: str | None = None
        self.newest = _newest_versions(decoded)
        self.families: dict[str, str] = {}
        self.techniques: dict[str, list[str]] = {}
        self.markings = dict(_TLP)
        self.observed: set[str] = set()
        self.sightings: dict[str, str] = {}
        self.opinions: dict[str, float] = {}
        self.early_ends = 0
        names: dict[str, str] = {}
        attack_tags: dict[str, list[str]] = {}
        indicates: list[tuple[str, str]] = []
        for stix_object in decoded:
            if stix_object.type == "indicator":  # most objects are
                self.early_ends += stix_object.valid_until is not None and ends_early(stix_object)
            elif stix_object.type in _FAMILY_TYPES and (
                name := fields.short_text(stix_object.name, 128)
            ):
                names[stix_object.id] = name
            elif stix_object.type == "attack-pattern":
                attack_tags[stix_object.id] = _techniques(stix_object)
            elif stix_object.type == "marking-definition":
                self.markings.setdefault(stix_object.id, _marking_tag(stix_object))
            elif stix_object.type in _REPORTS:
                self._read_report(stix_object)
            elif stix_object.relationship_type == "indicates":
                indicates.append((str(stix_object.source_ref), str(stix_object.target_ref)))
        for source, target in indicates:
            if target in names:
                self.families.setdefault(source, names[target])
            self.techniques.setdefault(source, []).extend(attack_tags.get(target, ()))

    def _read_report(self, stix_object: BundleObject) -> None:
        """Note what somebody saw, or says about an object."""
        refs = [ref for ref in as_list(stix_object.object_refs) if _is_text(ref)]
        if stix_object.type == "observed-data":
            self.observed.update(refs)
        elif stix_object.type == "opinion":
            doubt = _DISAGREEMENT.get(str(stix_object.opinion), 0.0)
            for ref in refs:
                self.opinions[ref] = max(doubt, self.opinions.get(ref, 0.0))
        elif stix_object.count != 0 and _is_text(stix_object.sighting_of_ref):
            seen = newest_time(stix_object.last_seen, stix_object.modified)
            before = self.sightings.get(stix_object.sighting_of_ref, "")
            self.sightings[stix_object.sighting_of_ref] = max(before, seen or "")

    def last_seen(self, stix_object: BundleObject) -> str | None:
        """The newest date that an object states, or a sighting of it; otherwise the bundle's."""
        stated = newest_time(stix_object.valid_from, stix_object.modified, stix_object.created)
        seen = self.sightings.get(stix_object.id) if self.sightings else None
        if stated is not None and seen is None:
            return stated
        return max(stated or "", seen or "") or self._date_of_bundle()

    def _date_of_bundle(self) -> str | None:
        if self._bundle_date is None:
            dates = [newest_time(other.modified, other.created) or "" for other in self._objects]
            self._bundle_date = max(dates, default="")
        return self._bundle_date or None

    def is_old(self, stix_object: BundleObject) -> bool:
        """Whether the bundle holds a newer version of the object."""
        newest = self.newest.get(stix_object.id) if self.newest else None
        return newest is not None and _version(stix_object) < newest

    def is_context(self, stix_object: BundleObject) -> bool:
        """Whether a cyber-observable, or what holds some, was seen, and is not sought."""
        return (
            stix_object.type == "observed-data"
            or stix_object.id in self.observed
            or is_of_misp(stix_object)
        )

    def notes(self) -> list[str]:
        """What a reader of the run should know about the bundle."""
        if not self.early_ends:
            return []
        note = (
            f"{self.early_ends} indicators end before they begin (their valid_until is not later "
            "than their valid_from): that end is passed over"
        )
        return [note]

    def tags(self, indicator: BundleObject) -> tuple[str, ...]:
        """An indicator's tags."""
        labels = as_list(indicator.labels)
        types = as_list(indicator.indicator_types)
        if not (
            indicator.kill_chain_phases
            or indicator.external_references
            or indicator.object_marking_refs
            or indicator.granular_markings
            or self.techniques
        ):
            return self._plain_tags(labels, types)
        phases = [
            f"attack:{phase['phase_name']}"
            for phase in as_list(indicator.kill_chain_phases)
            if isinstance(phase, dict)
            and phase.get("kill_chain_name") == "mitre-attack"
            and "phase_name" in phase
        ]
        markings = self.marking_tags(indicator)
        attack = [*_techniques(indicator), *self.techniques.get(indicator.id, ()), *phases]
        return fields.tags(labels, types, attack, markings)

    def marking_tags(self, stix_object: BundleObject) -> list[str]:
        """The markings of an object, or of a part of it, as tags.

        A definition that is not there is an unknown marking, which is closed.
        """
        refs = [
            *as_list(stix_object.object_marking_refs),
            *(
                marking.get("marking_ref")
                for marking in as_list(stix_object.granular_markings)
                if isinstance(marking, dict)
            ),
        ]
        return [self.markings.get(ref, UNKNOWN_MARKING) for ref in filter(_is_text, refs)]

    def _plain_tags(self, labels: list[Any], types: list[Any]) -> tuple[str, ...]:
        """Tags of labels and types alone; a bundle repeats few combinations, which are cached."""
        key = (*labels, None, *types)
        try:
            tags = self._plain_tags_cache.get(key)
        except TypeError:  # a label is no text
            return fields.tags(labels, types)
        if tags is None:
            tags = fields.tags(labels, types)
            self._plain_tags_cache[key] = tags
        return tags


def is_of_misp(stix_object: BundleObject) -> bool:
    """Whether misp-stix wrote an object, by its labels."""
    labels = stix_object.labels
    return isinstance(labels, list) and any(
        isinstance(label, str) and label.startswith(_MISP_LABEL) for label in labels
    )


def is_for_detection(labels: Any) -> bool:
    """Whether an indicator with some labels is meant to match: misp-stix may deny it."""
    return not isinstance(labels, list) or _NOT_FOR_DETECTION not in labels


def _decoded(objects: Sequence[BundleObject | DroppedItem]) -> list[BundleObject]:
    return [entry for entry in objects if isinstance(entry, BundleObject)]


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _newest_versions(objects: Sequence[BundleObject]) -> dict[str, datetime]:
    ids = [stix_object.id for stix_object in objects]
    if len(set(ids)) == len(ids):
        return {}  # as in most bundles
    newest: dict[str, datetime] = {}
    texts: dict[str, Any] = {}
    for stix_object in objects:
        if not stix_object.id:
            continue
        text = texts.setdefault(stix_object.id, stix_object.modified)
        # Most ids come once; times are only read of those that come with several.
        if text != stix_object.modified or (newest and stix_object.id in newest):
            before = newest.get(stix_object.id) or _moment(text)
            newest[stix_object.id] = max(before, _version(stix_object))
    return newest


def _version(stix_object: BundleObject) -> datetime:
    """When this version of an object was made; the beginning of time if it does not say so."""
    return _moment(stix_object.modified)


def _moment(text: Any) -> datetime:
    try:
        return parse_timestamp(str(text or ""))
    except ValueError:
        return _BEGINNING


_BEGINNING = datetime.min.replace(tzinfo=UTC)


def _techniques(stix_object: BundleObject) -> list[str]:
    return [
        f"attack:{reference['external_id']}"
        for reference in as_list(stix_object.external_references)
        if isinstance(reference, dict)
        and reference.get("source_name") == "mitre-attack"
        and isinstance(reference.get("external_id"), str)
    ]


def _marking_tag(marking: BundleObject) -> str:
    """The tag for a marking definition."""
    if tlp := _tlp(marking):
        return tlp
    definition = as_dict(marking.definition)
    if marking.definition_type == "statement":
        statement = fields.short_text(definition.get("statement"), _MAX_STATEMENT)
        return f"statement:{statement}" if statement else UNKNOWN_MARKING
    named = definition.get("pap") if marking.definition_type == "pap" else marking.name
    text = str(named or "").strip().lower().removeprefix("pap:")
    is_pap = marking.definition_type == "pap" or str(marking.name).upper().startswith("PAP:")
    return f"pap:{text}" if is_pap and text else UNKNOWN_MARKING


def _tlp(marking: BundleObject) -> str | None:
    """A marking's level as a tag, in the words of TLP 2.0."""
    definition = as_dict(marking.definition)
    level = definition.get("tlp") if marking.definition_type == "tlp" else None
    if level is None:
        level = as_dict(as_dict(marking.extensions).get(_TLP_EXTENSION)).get("tlp_2_0")
    if level is None and isinstance(marking.name, str) and marking.name.upper().startswith("TLP:"):
        level = marking.name[4:]
    if not isinstance(level, str):
        return None
    return tlp_tag(level)


@lru_cache(maxsize=65_536)
def read_time(text: str) -> str | None:
    """A time as RFC 3339; None if it is none, or in the year 9999, which stands for "no end"."""
    time = fields.timestamp(text)
    return None if time is None or time.startswith("9999") else time


def newest_time(*values: Any) -> str | None:
    """The newest of some properties that are times, as RFC 3339; None if none is a time."""
    newest: str | None = None
    for value in values:
        time = read_time(value) if isinstance(value, str) else None
        if time is not None and (newest is None or time > newest):
            newest = time
    return newest


def stix_time(value: Any) -> str | None:
    """A property's time as RFC 3339; None if it is none, or stands for "no end"."""
    return read_time(value) if isinstance(value, str) else None


def ends_early(indicator: BundleObject) -> bool:
    """Whether an indicator's end is not later than its beginning, which STIX 2.1 §4.7 forbids."""
    since: Any = indicator.valid_from
    until: Any = indicator.valid_until
    if until is None:
        return False
    # Texts of one form are in the order of their times, which costs least to see.
    if type(since) is type(until) is str and since < until:
        is_of_one_form = len(since) == len(until) and since[10:11] == until[10:11] == "T"
        if is_of_one_form and since[-1] == until[-1] == "Z":
            return False
    since = stix_time(since)
    until = stix_time(until)
    return since is not None and until is not None and _moment(until) <= _moment(since)

"""The fields that filters of rules and silences may name, and rules may group by."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, cast

import msgspec

from shared.events.observables import Change, ChangeKind
from shared.filters.filter import FilterExpression
from shared.filters.model import FilterModel, ModelField, ValueType

_FIELDS: Final = (
    ModelField("observable.id", ValueType.text, ("id",), "the STIX id"),
    ModelField("observable.type", ValueType.text, ("type",), "the type"),
    ModelField("observable.value", ValueType.text, ("value",), "the value"),
    ModelField("observable.tags", ValueType.texts, ("tags",), "the tags"),
    ModelField("observable.attack", ValueType.texts, ("attack",), "the ATT&CK ids"),
    ModelField("observable.sources", ValueType.integer, ("sources",), "the number of sources"),
    ModelField("change.kind", ValueType.text, ("kind",), "the kind of change"),
    ModelField("change.score", ValueType.integer, ("score",), "the score"),
    ModelField(
        "change.score_before",
        ValueType.integer,
        ("score_before",),
        "the score before",
        is_optional=True,
    ),
    ModelField("source.name", ValueType.text, ("source",), "the source", is_shared=True),
)

CHANGE_MODEL: Final = FilterModel(_FIELDS)
"""What rules filter."""

SILENCE_MODEL: Final = FilterModel(
    (
        *_FIELDS,
        ModelField("rule.name", ValueType.text, ("rule",), "the rule", is_shared=True),
        ModelField("rule.severity", ValueType.text, ("severity",), "the severity", is_shared=True),
    )
)
"""What silences filter: the matches of rules."""

TOPIC_FIELDS: Final = frozenset(
    {
        *("observable.id", "observable.type", "observable.value"),
        *("change.kind", "source.name", "rule.name", "rule.severity"),
    }
)
"""What silences and inhibitions may name that hold events of other topics than observables: those
have no score, sources, tags or techniques."""

_LABELS: Final = {
    "observable.type": "type",
    "observable.value": "value",
    "observable.id": "id",
    "change.kind": "kind",
}
GROUP_FIELDS: Final = frozenset({"source.name", *_LABELS})
"""Fields by which a rule may group its matches."""


def event_change(match: Mapping[str, Any]) -> Change:
    """An event of another topic, by its entry in messages, as silences and inhibitions read it."""
    kind = cast("ChangeKind", match["kind"])
    return Change(id=match["title"], type=kind, value=match["title"], kind=kind, score=0)


def is_readable(expression: FilterExpression, paths: frozenset[str] | None) -> bool:
    """Whether all that a filter names is among some fields; None stands for all fields."""
    return paths is None or expression.paths <= paths


def label_values(names: Sequence[str], match: Any, source: str) -> tuple[str, ...]:
    """The values of some of the fields that matches are grouped by."""
    return tuple(
        source if name == "source.name" else getattr(match, _LABELS[name]) for name in names
    )


def label_key(labels: Mapping[str, str]) -> str:
    """The key of what has some labels in common: short, whatever the values are."""
    if not labels:
        return "all"
    return sha256(msgspec.json.encode(sorted(labels.items()))).hexdigest()

"""The fields of a changed observable that a rule's filter may name."""

from typing import Final

from shared.filters.model import FilterModel, ModelField, ValueType

CHANGE_MODEL: Final = FilterModel(
    (
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
)

"""A model with a field of every type, and subjects and filters made at random for it."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.filters.matcher import Environment
from shared.filters.model import FilterModel, ModelField, ValueType

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ENVIRONMENT = Environment(NOW, {"ours": frozenset({"192.0.2.7", "example.com"})})

_FIELDS = (
    ("observable.type", ValueType.text, "type", "the type", False),
    ("observable.value", ValueType.text, "value", "the value", False),
    ("observable.malware", ValueType.text, "malware", "the malware", True),
    ("observable.tags", ValueType.texts, "tags", "the tags", False),
    ("observable.ports", ValueType.integers, "ports", "the ports", False),
    ("observable.own", ValueType.boolean, "own", "being our own", False),
    ("observable.listed", ValueType.boolean, "listed", "being listed", True),
    ("observable.first_seen", ValueType.time, "first_seen", "the first time", False),
    ("observable.last_seen", ValueType.time, "last_seen", "the last time", True),
    ("change.score", ValueType.integer, "score", "the score", False),
    ("change.score_before", ValueType.integer, "score_before", "the earlier score", True),
    ("change.weight", ValueType.decimal, "weight", "the weight", True),
)
MODEL = FilterModel(
    ModelField(path, type_, (attribute,), phrase, is_optional)
    for path, type_, attribute, phrase, is_optional in _FIELDS
)

TEXTS = ("", "url", "ipv4-addr", "192.0.2.7", "www.example.com", "a'b\\c", "ünïcode ☃", "100%_x")


@dataclass(frozen=True)
class Subject:
    """What the sample filters are applied to."""

    type: str = "url"
    value: str = "www.example.com"
    malware: str | None = None
    tags: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    own: bool = False
    listed: bool | None = None
    first_seen: datetime = NOW
    last_seen: datetime | None = None
    score: int = 0
    score_before: int | None = None
    weight: float | None = None

    def as_maps(self) -> dict[str, dict[str, object]]:
        """The fields as nested maps, without those that are absent."""
        maps: dict[str, dict[str, object]] = {}
        for path, _, attribute, _, _ in _FIELDS:
            value = getattr(self, attribute)
            if value is not None:
                owner, _, name = path.partition(".")
                maps.setdefault(owner, {})[name] = list(value) if type(value) is tuple else value
        return maps


@dataclass
class FilterMaker:
    """Writes filters at random; the same seed writes the same ones."""

    seed: int
    source: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.source = random.Random(self.seed)  # noqa: S311  # no secret

    def subject(self) -> Subject:
        """A subject whose optional fields are there or not."""
        pick = self.source.choice
        return Subject(
            type=pick(TEXTS),
            value=pick(TEXTS),
            malware=pick((None, *TEXTS)),
            tags=tuple(pick(TEXTS) for _ in range(self.source.randrange(3))),
            ports=tuple(pick((0, 53, 443)) for _ in range(self.source.randrange(3))),
            own=pick((True, False)),
            listed=pick((True, False, None)),
            first_seen=NOW - timedelta(hours=self.source.randrange(50)),
            last_seen=pick((None, NOW, NOW - timedelta(days=1))),
            score=pick((0, 50, 100)),
            score_before=pick((None, 0, 50)),
            weight=pick((None, 0.5, 50.0)),
        )

    def condition(self, depth: int = 3, variable: str | None = None) -> str:
        """A condition; `variable` is a text that an enclosing `exists` binds."""
        kind = self.source.random()
        if depth and kind < 0.5:
            operator = self.source.choice((" && ", " || "))
            count = self.source.choice((2, 2, 3))
            return (
                "(" + operator.join(self.condition(depth - 1, variable) for _ in range(count)) + ")"
            )
        if depth and kind < 0.65:
            return f"!({self.condition(depth - 1, variable)})"
        if depth and kind < 0.75 and variable is None:
            name = self.source.choice(("exists", "all"))
            return f"observable.tags.{name}(tag, {self.condition(depth - 1, 'tag')})"
        return self._test(variable)

    def _test(self, variable: str | None) -> str:
        pick = self.source.choice
        text = pick([path for path, type_, *_ in _FIELDS if type_ is ValueType.text])
        if variable is not None and self.source.random() < 0.7:
            text = variable
        literal = _quoted(pick(TEXTS))
        comparison = pick(("==", "!=", "<", "<=", ">", ">="))
        number = pick(
            ("change.score", "change.score_before", "change.weight", "size(observable.tags)")
        )
        optional = pick(("observable.malware", "change.score_before", "observable.last_seen"))
        return pick(
            (
                f"{text} {comparison} {literal}",
                f"{text} in [{literal}, {_quoted(pick(TEXTS))}]",
                f"{literal} in observable.tags",
                f"{text}.{pick(('startsWith', 'endsWith', 'contains'))}({literal})",
                f"{number} {comparison} {pick(('0', '50', '-1', '0.5'))}",
                f"{number} {comparison} change.score",
                f"size({text}) {comparison} {pick((0, 3))}",
                f"{pick((53, 443))} in observable.ports",
                pick(("observable.own", "observable.listed", "true", "false")),
                f"observable.listed {pick(('==', '!='))} observable.own",
                f"has({optional})",
                f'observable.last_seen {comparison} timestamp("2026-11-29T12:00:00Z")',
                f'observable.first_seen - observable.last_seen {comparison} duration("24h")',
            )
        )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

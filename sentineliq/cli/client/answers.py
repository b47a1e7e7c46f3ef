"""What a lookup answers about a value, in words. No I/O."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from sentineliq.cli.client.documents import (
    AssertionSource,
    ObservableInShort,
    ObservableSummary,
    ValueAnswer,
)

_AGES: Final = ((86400, "day"), (3600, "hour"), (60, "minute"))
_SHOWN: Final = 10
"""Names of one kind that an answer shows to people; --json has all of them."""


def canonical_value(answer: ValueAnswer) -> str:
    """The value as it is stored, or would be."""
    if answer.observable is not None:
        return answer.observable.value
    return answer.canonical or answer.value


def verdict_sentence(answer: ValueAnswer) -> str:
    """The verdict about a value in one sentence."""
    observable = answer.observable
    if observable is not None:
        if observable.assessment is not None:
            return observable.assessment.sentence
        return f"Its score is {observable.score} ({observable.verdict})."
    if answer.problem:
        return f"No observable: {answer.problem}."
    if answer.inherited is not None:
        score = answer.inherited.score
        return f"Nothing is stored about it; what it lies within gives it {score}."
    return "Nothing is stored about it: no source names it."


def facts(answer: ValueAnswer) -> dict[str, str]:
    """What is known about a value, by name; what is not known is left out."""
    pairs = {
        "value": canonical_value(answer),
        "type": answer.observable.type if answer.observable else answer.type,
        "verdict": verdict_sentence(answer),
        **_stored_facts(answer.observable),
        "allow-lists": _join(allow_lists(answer)),
        "context": _context_line(answer),
        "within": _join(map(_in_short, answer.within)),
        "inside": _join(map(_in_short, answer.inside)),
        "it may also be": _join(map(_in_short, answer.others)),
    }
    return {name: text for name, text in pairs.items() if text}


def allow_lists(answer: ValueAnswer) -> list[str]:
    """The allow-lists that a value is on, each with the entry that it matches."""
    hits = _context(answer).get("allow_lists", {}).get("hits", ())
    return [f"{hit[0]} ({hit[1]}: {hit[3]})" for hit in hits]


def sources(observable: ObservableSummary) -> list[str]:
    """The sources that assert an observable now."""
    return sorted({assertion.source for assertion in _current(observable)})


def age(text: str | None, now: datetime | None = None) -> str:
    """How long ago a time of the API is, such as "3 days ago"."""
    if text is None:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds()
    for size, name in _AGES:
        count = int(seconds // size)
        if count:
            return f"{count:,} {name}{'' if count == 1 else 's'} ago"
    return "just now"


def _stored_facts(observable: ObservableSummary | None) -> dict[str, str]:
    if observable is None:
        return {}
    families = {assertion.malware for assertion in _current(observable) if assertion.malware}
    inherited = set(observable.attack_inherited)
    stated = [attack_id for attack_id in observable.attack if attack_id not in inherited]
    answers = {enrichment.enricher for enrichment in observable.enrichments}
    return {
        "sources": _join(sources(observable)),
        "family": _join(sorted(families)),
        "ATT&CK": _join(stated) or _unmapped(families),
        "ATT&CK, inherited": _inherited(len(inherited)),
        "tags": _join(observable.tags),
        "first seen": age(observable.first_seen),
        "last seen": age(observable.last_seen),
        "enriched by": _join(sorted(answers)),
    }


def _inherited(count: int) -> str:
    """What software and groups are known to use: it is context, and nobody has observed it."""
    techniques = f"{count:,} technique{'' if count == 1 else 's'}"
    return f"{techniques} that these are known to use, not observed here" if count else ""


def _unmapped(families: set[str]) -> str:
    return "the loaded release knows none of these families" if families else ""


def _current(observable: ObservableSummary) -> Iterator[AssertionSource]:
    return (assertion for assertion in observable.assertions if assertion.retracted_at is None)


def _context(answer: ValueAnswer) -> Mapping[str, Any]:
    return answer.observable.context if answer.observable else answer.context


def _context_line(answer: ValueAnswer) -> str:
    parts = []
    for name, entry in _context(answer).items():
        if name != "allow_lists":
            parts.append(f"{name.replace('_', ' ')}: {_facts_line(entry)}")
    return "; ".join(parts)


def _facts_line(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return ", ".join(f"{key} {_facts_line(value)}" for key, value in entry.items())
    if isinstance(entry, list):
        return " ".join(map(_facts_line, entry))
    return str(entry)


def _in_short(other: ObservableInShort) -> str:
    return f"{other.value} ({other.type}, {other.score})"


def _join(texts: Any) -> str:
    listed = list(texts)
    more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more

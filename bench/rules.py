"""1,000 rules with filters over 100,000 changes, in one process, beside a loop over all rules.

Seconds are of processor time. The rules are those of a large installation: tags, single values,
networks, domains, sources, a watchlist. In the same run a loop applies every rule's function to
every change of a sample, and two libraries of CEL, where they are installed, evaluate the same
filters.
"""

import argparse
import importlib
import random
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import uuid4

from bench._figures import report_figures
from services.notifications.fields import CHANGE_MODEL
from services.notifications.rules.matching import ChangeEnvironment, Conditions, RuleSet
from shared.events.observables import Change
from shared.filters.filter import FilterExpression, parse_filter

MIN_CHANGES_PER_SECOND = 100_000
MIN_TIMES_THE_LOOP = 50
MIN_WITH_WATCHLIST = 70_000
MIN_TIMES_A_LIBRARY = 20

_CHUNK = 1000
_SAMPLE = 200
_TYPES = ("ipv4-addr", "domain-name", "url", "file-sha256")
_TAGS = [f"tag-{number}" for number in range(400)]
_SOURCES = [f"feed-{number}" for number in range(100)]


def changes(source: random.Random, count: int) -> list[Change]:
    """Changes of ordinary variety."""
    return [
        Change(
            id=f"x--{number}",
            type=(type_ := source.choice(_TYPES)),
            value=_value(source, type_),
            kind=source.choice(("new", "new", "changed")),
            score=source.randrange(101),
            score_before=source.choice((None, source.randrange(101))),
            tags=tuple(source.sample(_TAGS, source.randrange(4))),
        )
        for number in range(count)
    ]


def _value(source: random.Random, type_: str) -> str:
    if type_ == "ipv4-addr":
        return ".".join(str(source.randrange(256)) for _ in range(4))
    name = f"host-{source.randrange(100_000)}.example-{source.randrange(500)}.com"
    if type_ == "url":
        return f"https://{name}/a/{source.randrange(1000)}"
    return name if type_ == "domain-name" else f"{source.getrandbits(256):064x}"


def filters(source: random.Random, count: int) -> list[str]:
    """Filters of ordinary variety."""
    makers: tuple[Callable[[random.Random], str], ...] = (
        lambda source: f'"{source.choice(_TAGS)}" in observable.tags && change.score >= 50',
        lambda source: f'observable.value == "{_value(source, "domain-name")}"',
        lambda source: f'source.name == "{source.choice(_SOURCES)}" && change.score > 90',
        lambda source: (
            'observable.type == "domain-name"'
            f' && observable.value.under("example-{source.randrange(500)}.com")'
        ),
        lambda source: (
            f'cidr("{source.randrange(224)}.0.0.0/8").containsIP(observable.value)'
            f' && "{source.choice(_TAGS)}" in observable.tags'
        ),
    )
    weights = (40, 30, 20, 4, 6)
    return [source.choices(makers, weights)[0](source) for _ in range(count)]


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rules", type=int, default=1000)
    parser.add_argument("--changes", type=int, default=100_000)
    arguments = parser.parse_args()
    source = random.Random(7)  # noqa: S311  # the same in each run
    texts = filters(source, arguments.rules)
    rules = [_rule(text) for text in texts]
    events = [
        (source.choice(_SOURCES), changes(source, _CHUNK))
        for _ in range(arguments.changes // _CHUNK)
    ]
    total = len(events) * _CHUNK
    # Filters are compiled when they are used for the first time.
    compiled = _seconds(RuleSet(rules), events[:10], {})
    indexed = total / _seconds(RuleSet(rules), events, {})
    expressions = [parse_filter(text, CHANGE_MODEL) for text in texts]
    looped = _loop_rate(expressions, events)
    watched = [*rules, _rule('observable.value in watchlist("ours")')]
    watchlist = frozenset(_value(source, "ipv4-addr") for _ in range(100_000))
    with_watchlist = total / _seconds(RuleSet(watched), events, {"acme/ours": watchlist})
    evaluation = _evaluation_seconds(expressions, events)
    figures: dict[str, Any] = {
        "rules": arguments.rules,
        "changes": total,
        "first 10,000 changes, compiling (s)": compiled,
        "changes/s": indexed,
        "changes/s of a loop over all rules": looped,
        "times the loop": indexed / looped,
        "changes/s with a watchlist of 100,000": with_watchlist,
        "an evaluation (µs)": evaluation * 1e6,
    }
    problems = []
    for name, seconds in _libraries(texts, events):
        figures[f"an evaluation by {name} (µs)"] = seconds * 1e6
        figures[f"times as fast as {name}"] = seconds / evaluation
        if seconds / evaluation < MIN_TIMES_A_LIBRARY:
            problems.append(f"only {seconds / evaluation:.0f} times as fast as {name}")
    if indexed < MIN_CHANGES_PER_SECOND:
        problems.append(f"fewer than {MIN_CHANGES_PER_SECOND:,} changes/s")
    if indexed / looped < MIN_TIMES_THE_LOOP:
        problems.append(f"less than {MIN_TIMES_THE_LOOP} times the loop")
    if with_watchlist < MIN_WITH_WATCHLIST:
        problems.append(f"fewer than {MIN_WITH_WATCHLIST:,} changes/s with a watchlist")
    report_figures("rules", figures, problems)


def _rule(text: str) -> Conditions:
    return Conditions(uuid4(), "acme", "rule", frozenset(("new", "changed")), filter=text)


def _seconds(
    rules: RuleSet, events: Iterable[tuple[str, list[Change]]], watchlists: dict[str, Any]
) -> float:
    started = time.process_time()
    for feed, chunk in events:
        rules.match("acme", feed, chunk, watchlists)
    return time.process_time() - started


def _sampled(events: list[tuple[str, list[Change]]]) -> list[tuple[str, Change]]:
    return [(feed, chunk[0]) for feed, chunk in events[:_SAMPLE]]


def _loop_rate(
    expressions: list[FilterExpression], events: list[tuple[str, list[Change]]]
) -> float:
    """Changes/s when each rule's function is called for each change."""
    sample = _sampled(events)
    matchers = [expression.matcher for expression in expressions]
    started = time.process_time()
    for feed, change in sample:
        environment = ChangeEnvironment(feed, datetime.now(UTC))
        for matcher in matchers:
            matcher(change, environment)
    return len(sample) / (time.process_time() - started)


def _evaluation_seconds(
    expressions: list[FilterExpression], events: list[tuple[str, list[Change]]]
) -> float:
    return 1 / (_loop_rate(expressions, events) * len(expressions))


def _libraries(
    texts: list[str], events: list[tuple[str, list[Change]]]
) -> Iterable[tuple[str, float]]:
    """Libraries of CEL with the seconds of one evaluation, of filters that both can read."""
    shared = [text for text in texts if ".under(" not in text and "cidr(" not in text][:50]
    maps = [_as_maps(feed, change) for feed, change in _sampled(events)]
    for name, module in (
        ("common-expression-language", "cel"),
        ("cel-expr-python", "cel_expr_python.cel"),
    ):
        try:
            library = importlib.import_module(module)
        except ImportError:
            continue
        evaluations = _evaluations(library, name, shared)
        started = time.process_time()
        for evaluate in evaluations:
            for each in maps:
                evaluate(each)
        yield name, (time.process_time() - started) / (len(evaluations) * len(maps))


def _evaluations(library: Any, name: str, texts: list[str]) -> list[Callable[[Any], Any]]:
    if name == "common-expression-language":
        return [library.compile(text).execute for text in texts]
    kind = library.Type("map<string, dyn>")
    environment = library.NewEnv(variables={"observable": kind, "change": kind, "source": kind})
    expressions = [environment.compile(text, disable_check=True) for text in texts]
    return [partial(_evaluate, expression) for expression in expressions]


def _evaluate(expression: Any, maps: dict[str, Any]) -> object:
    return expression.eval(data=maps).value()


def _as_maps(feed: str, change: Change) -> dict[str, dict[str, object]]:
    observable: dict[str, object] = {
        "type": change.type,
        "value": change.value,
        "tags": list(change.tags),
    }
    return {
        "observable": observable,
        "change": {"kind": change.kind, "score": change.score},
        "source": {"name": feed},
    }


if __name__ == "__main__":
    main()

"""Scores against the truth: four worlds of twelve feeds over 400,000 values.

In each world the copies among the feeds are measured, and every listed value is scored by four
models: this one, the noisy-or of all claims, OpenCTI's (one source's confidence) and MISP's (the
Admiralty grade of the most reliable source). Of a fifth of the values the truth is known, and
teaches what scores stand for (isotonic, by type); the others judge it: the share of what is
truly bad among the malicious, Brier score and expected calibration error.

One more copy of every feed is then added, as it would be measured, and must move no score by two
points.
"""

import argparse
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Final

from bench._figures import report_figures
from bench._worlds import World, build_world, copies_by_name, listings_of, type_of
from services.observables.evidence.calibration import (
    Calibration,
    Labelled,
    Quality,
    calibrate,
    quality,
)
from services.observables.evidence.copies import measure_copies
from services.observables.evidence.listings import numbers
from services.observables.scoring.claims import Claim
from services.observables.scoring.score import score

NOW: Final = datetime(2026, 11, 1, tzinfo=UTC)
MALICIOUS: Final = 80
CERTAIN: Final = 0.9
MIN_TRUE: Final = 0.9
MAX_ERROR: Final = 0.05
MAX_MOVE: Final = 2
WORLDS: Final = {
    "independent": (False, False),
    "copies": (True, False),
    "shared mistakes": (False, True),
    "mixed": (True, True),
}
_ADMIRALTY: Final = ((90, 100), (70, 75), (50, 50), (30, 25))
"""The least reliability of a grade, and the base score that MISP gives it."""
_LEARNED_SHARE: Final = 0.2
_SAMPLE: Final = 2_000

Score = Callable[[int], float]
"""The score of what a set of feeds lists, with a bit for each."""


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """How a model does in a world.

    Attributes:
        malicious: how many values its score calls malicious.
        true_malicious: the share of these that is bad.
        error: the expected calibration error of its score, taken as a percentage.
        certain: how many values are bad with the learned probability of `CERTAIN` or more.
        true_certain: the share of these that is bad.
        brier: of learned probabilities.
        learned_error: the expected calibration error of learned probabilities.
    """

    malicious: int
    true_malicious: float
    error: float
    certain: int
    true_certain: float
    brier: float
    learned_error: float


def score_models(
    world: World, copies: Mapping[str, tuple[tuple[str, float], ...]]
) -> dict[str, Score]:
    """The four models, with the feeds of a world."""
    names = list(world.feeds)

    def claims(members: int, *, has_copies: bool) -> list[Claim]:
        return [
            Claim(
                "source",
                names[number],
                world.reliability[names[number]] / 100,
                NOW,
                source_id=names[number],
                copies=copies.get(names[number], ()) if has_copies else (),
            )
            for number in numbers(members)
        ]

    def strongest(members: int) -> int:
        return max(world.reliability[names[number]] for number in numbers(members))

    return {
        "sentineliq": cache(
            lambda members: score("url", claims(members, has_copies=True), (), NOW)
        ),
        "noisy-or": cache(lambda members: score("url", claims(members, has_copies=False), (), NOW)),
        "opencti": cache(strongest),
        "misp": cache(lambda members: _admiralty(strongest(members))),
    }


def _admiralty(reliability: int) -> int:
    return next((points for least, points in _ADMIRALTY if reliability >= least), 0)


def members_by_value(world: World) -> dict[int, int]:
    """The feeds that list each value, a bit for each."""
    members: dict[int, int] = {}
    for number, days in enumerate(world.feeds.values()):
        for value in days:
            members[value] = members.get(value, 0) | 1 << number
    return members


def judge_model(world: World, members: Mapping[int, int], model: Score) -> ModelFigures:
    """Let a model score all values, learn from a part of them, and compare the rest."""
    chance = random.Random(1)  # noqa: S311
    learned: list[Labelled] = []
    others: list[Labelled] = []
    for value, feeds in members.items():
        part = learned if chance.random() < _LEARNED_SHARE else others
        part.append(Labelled(type_of(value), model(feeds), world.is_bad(value)))
    calibration = calibrate(learned)
    raw = quality((row.score / 100, row.is_bad) for row in others)
    probable = [(probability_of(calibration, row), row.is_bad) for row in others]
    fitted: Quality = quality(probable)
    malicious = [row.is_bad for row in others if row.score >= MALICIOUS]
    certain = [is_bad for probability, is_bad in probable if probability >= CERTAIN]
    return ModelFigures(
        len(malicious),
        _share(malicious),
        round(raw.calibration_error, 4),
        len(certain),
        _share(certain),
        round(fitted.brier, 4),
        round(fitted.calibration_error, 4),
    )


def probability_of(calibration: Calibration, row: Labelled) -> float:
    """The learned probability of a score."""
    return calibration.probability(row.type, row.score)


def _share(truths: Sequence[bool]) -> float:
    return round(sum(truths) / len(truths), 4) if truths else 0.0


def largest_move(
    world: World, members: Mapping[int, int], copies: Mapping[str, tuple[tuple[str, float], ...]]
) -> float:
    """How far a further copy of a feed moves a score at most, over a sample of sets of feeds."""
    before = score_models(world, copies)["sentineliq"]
    largest = 0.0
    sets = sorted(set(members.values()))
    sample = random.Random(2).sample(sets, min(len(sets), _SAMPLE))  # noqa: S311
    for number, name in enumerate(list(world.feeds)):
        probability = max((share for _, share in copies.get(name, ())), default=0.99)
        twin = f"copy of {name}"
        extended = World(
            world.bad,
            {**world.feeds, twin: world.feeds[name]},
            {**world.reliability, twin: world.reliability[name]},
        )
        further = {**copies, twin: ((name, probability),)}
        model = score_models(extended, further)["sentineliq"]
        bit = 1 << len(world.feeds)
        for feeds in sample:
            if feeds >> number & 1:
                largest = max(largest, abs(model(feeds | bit) - before(feeds)))
    return largest


def measure_world(name: str, values: int, seed: int) -> dict[str, object]:
    """The figures of a world: the copies that were found, and each model."""
    has_copies, has_shared_mistakes = WORLDS[name]
    world = build_world(
        seed, values, has_copies=has_copies, has_shared_mistakes=has_shared_mistakes
    )
    listings, sources = listings_of(world)
    names = list(world.feeds)
    pairs = {
        (names[pair.copier], names[pair.original]): pair.probability
        for pair in measure_copies(listings, sources)
    }
    copies = copies_by_name(pairs)
    members = members_by_value(world)
    models = {
        label: asdict(judge_model(world, members, model))
        for label, model in score_models(world, copies).items()
    }
    return {
        "listed": len(members),
        "planted": len(world.copies),
        "missed": sorted(world.copies - pairs.keys()),
        "false": sorted(pairs.keys() - world.copies),
        "largest_move": largest_move(world, members, copies),
        "models": models,
    }


def is_kept(figures: Mapping[str, object]) -> bool:
    """Whether a world's figures keep what is promised."""
    models = figures["models"]
    assert isinstance(models, dict)
    own = models["sentineliq"]
    move = figures["largest_move"]
    assert isinstance(move, int | float)
    return (
        not figures["missed"]
        and not figures["false"]
        and move < MAX_MOVE
        and own["true_certain"] >= MIN_TRUE
        and own["learned_error"] <= MAX_ERROR
    )


def main() -> None:
    """Measure the four worlds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=400_000)
    parser.add_argument("--seed", type=int, default=11)
    arguments = parser.parse_args()
    worlds = {name: measure_world(name, arguments.values, arguments.seed) for name in WORLDS}
    report_figures("calibration", worlds)
    broken = [name for name, figures in worlds.items() if not is_kept(figures)]
    if broken:
        raise SystemExit(f"Not kept in: {', '.join(broken)}.")


if __name__ == "__main__":
    main()

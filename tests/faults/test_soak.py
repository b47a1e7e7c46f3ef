"""The soak repeats its faults from its seed, and notices what grows."""

from itertools import islice

from tests.faults.soak import SoakSample, faults, passed_bounds


def _names(seed: int) -> list[tuple[str, str]]:
    return [(name, target) for name, _action, target in islice(faults(seed), 200)]


def test_a_seed_is_a_sequence_of_faults() -> None:
    assert _names(1) == _names(1)
    assert _names(1) != _names(2)


def test_growth_passes_a_bound_and_a_peak_does_not() -> None:
    steady = [SoakSample(1000, 500, 60, 10)] * 40
    assert passed_bounds(steady) == []
    peak = [*steady[:20], SoakSample(1900, 900, 60, 10), *steady[21:]]
    assert passed_bounds(peak) == []
    growing = [SoakSample(1000 + 30 * number, 500 + number, 60, 10) for number in range(40)]
    assert len(passed_bounds(growing)) == 1
    full = [*steady, SoakSample(1000, 500, 145, 30_000)]
    assert len(passed_bounds(full)) == 2

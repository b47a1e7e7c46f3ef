"""Every mistake that can be planted is noticed by short tests, and has scenarios that guard it."""

import pytest

from tests.faults.mistakes import MUTATIONS
from tests.faults.mutations import GUARDING_SCENARIOS, GUARDING_TESTS, noticing_tests
from tests.faults.rows import triggers


def test_every_mistake_has_tests_that_guard_against_it() -> None:
    assert set(GUARDING_TESTS) == set(MUTATIONS)


def test_scenarios_that_guard_against_mistakes_are_in_the_short_form() -> None:
    names = {trigger.name for trigger in triggers(is_long=False)}
    assert set(GUARDING_SCENARIOS) <= set(MUTATIONS)
    for mutation, guards in GUARDING_SCENARIOS.items():
        assert set(guards) & names, mutation


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("mutation", GUARDING_TESTS)
def test_a_planted_mistake_is_noticed(
    mutation: str, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in parts.items():
        monkeypatch.setenv(name, value)
    notices = {test.partition("[")[0] for test in noticing_tests(mutation)}
    assert notices == set(GUARDING_TESTS[mutation])

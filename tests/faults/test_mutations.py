"""Every mistake that can be planted has scenarios of the short form that guard against it."""

from tests.faults.mutated import MUTATIONS
from tests.faults.mutations import GUARDS
from tests.faults.rows import triggers


def test_every_mistake_has_a_guard_that_the_short_form_runs() -> None:
    names = {trigger.name for trigger in triggers(is_long=False)}
    assert set(GUARDS) == set(MUTATIONS)
    for mutation, guards in GUARDS.items():
        assert set(guards) & names, mutation

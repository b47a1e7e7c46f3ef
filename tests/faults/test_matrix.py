"""The short form of the fault matrix, on one whole stack. `rows.py` lists what it promises."""

from collections.abc import Iterator

import pytest

from tests.faults.installation import temporary_installation
from tests.faults.load import Probe
from tests.faults.matrix import problems
from tests.faults.row import Trigger
from tests.faults.rows import triggers
from tests.faults.scenario import NotPossibleHere, Trial

pytestmark = [pytest.mark.slow, pytest.mark.matrix]


@pytest.fixture(scope="module")
def trial() -> Iterator[Trial]:
    with temporary_installation() as installation:
        yield Trial(installation, Probe(installation))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("trigger", triggers(is_long=False), ids=lambda trigger: trigger.name)
def test_a_fault_breaks_no_promise(trial: Trial, trigger: Trigger) -> None:
    try:
        figures = trigger.scenario(trial)
    except NotPossibleHere as error:
        pytest.skip(str(error))
    print(figures)
    assert not problems(trigger, figures), figures

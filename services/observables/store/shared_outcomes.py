"""What reports about stored observables lead to, decided once for all that are alike. No I/O."""

from collections.abc import Callable

from msgspec.structs import replace

from services.observables.scoring.inputs import ObservableState
from services.observables.store.changes import change_alike
from services.observables.store.incoming import AssertingSource, IncomingAssertion, IngestPlan


def empty_plan() -> IngestPlan:
    """A plan that changes nothing."""
    return IngestPlan([], [], [], [], [], [], [], [], [])


class SharedOutcomes:
    """What reports about stored observables lead to: decided once for all that are alike.

    A list that is taken back, or said again, names hundreds of thousands of observables of which
    the same is stored. What follows for the first of them holds for the others.

    Args:
        plan: gets the outcomes.
        source: the source of the reports.
        decide: adds the outcome of one report to a plan.
    """

    def __init__(
        self,
        plan: IngestPlan,
        source: AssertingSource,
        decide: Callable[[IngestPlan, AssertingSource, IncomingAssertion, ObservableState], None],
    ) -> None:
        self._plan = plan
        self._source = source
        self._decide = decide
        self._firsts: dict[tuple[object, ...], IngestPlan] = {}

    def add(self, report: IncomingAssertion, state: ObservableState) -> None:
        """Add the outcome of a report about an observable."""
        if state.public or state.claims or state.sightings:
            self._decide(self._plan, self._source, report, state)
            return
        key = (
            report.data,
            state.type,
            state.score,
            state.scored_at,
            state.due,
            state.depth,
            state.tlp,
            state.reported,
            state.effects,
            # States share the assertions that are alike; the states outlive the plan.
            *map(id, state.assertions.values()),
        )
        first = self._firsts.get(key)
        if first is None:
            first = self._firsts[key] = empty_plan()
            self._decide(first, self._source, report, state)
        _repeat(self._plan, first, report, state.value)


def _repeat(plan: IngestPlan, first: IngestPlan, report: IncomingAssertion, value: str) -> None:
    """Add the outcome of a report that is like the first one but for its id and value."""
    identity = report.id
    if first.asserted:
        plan.asserted.append(report)
    for assertion in first.reasserted:
        plan.reasserted.append(replace(report, data=assertion.data))
    for _, update in first.rescored:
        plan.rescored.append((identity, update))
    for _, moment in first.widened:
        plan.widened.append((identity, moment))
    for change in first.changes:
        plan.changes.append(change_alike(change, identity, value))
    if first.retracted:
        plan.retracted.append(identity)
    if first.repeated:
        plan.repeated.append(identity)
    if first.altered:
        plan.altered.append(identity)

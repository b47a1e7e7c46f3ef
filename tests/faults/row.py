"""What a row of the fault matrix consists of."""

from dataclasses import dataclass

from tests.faults.scenario import Scenario


def tests_of(path: str, *names: str) -> tuple[str, ...]:
    """Tests of a module below `tests/`, as pytest names them."""
    return tuple(f"tests/{path}::{name}" for name in names)


@dataclass(frozen=True)
class Trigger:
    """A scenario of this matrix.

    Attributes:
        scenario: brings the fault about on a whole stack and counts.
        limit_s: seconds within which new work goes all the way again.
        is_short: whether `make faults-short` runs it.
    """

    scenario: Scenario
    limit_s: float
    is_short: bool = True

    @property
    def name(self) -> str:
        """The scenario's name."""
        return self.scenario.__name__


@dataclass(frozen=True)
class Row:
    """A row of the matrix.

    Attributes:
        number: stays the same for ever.
        fault: what happens.
        promise: what holds then.
        triggers: scenarios on a whole stack.
        proofs: tests elsewhere, as pytest names them.
        gap: what is not promised, or not shown.
    """

    number: int
    fault: str
    promise: str
    triggers: tuple[Trigger, ...] = ()
    proofs: tuple[str, ...] = ()
    gap: str = ""

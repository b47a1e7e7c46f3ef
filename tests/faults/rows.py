"""The rows of the fault matrix: each fault, what is promised then, and what proves it."""

from tests.faults import rows_of_input, rows_of_parts
from tests.faults.row import Trigger

ROWS = (*rows_of_parts.ROWS, *rows_of_input.ROWS)


def triggers(*, is_long: bool) -> list[Trigger]:
    """The scenarios of a form of the matrix, each once."""
    unique = {trigger.name: trigger for row in ROWS for trigger in row.triggers}
    return [trigger for trigger in unique.values() if is_long or trigger.is_short]

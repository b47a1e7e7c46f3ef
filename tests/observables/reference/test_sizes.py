"""Reference data that changes its shape is refused, and what was there stays."""

import pytest

from services.observables.reference.service import _check_size
from shared.errors import InvalidInput

MIB = 1 << 20


@pytest.mark.parametrize(
    ("before", "size"),
    [(0, 0), (0, 500 * MIB), (10 * MIB, 5 * MIB), (MIB, 17 * MIB), (50 * MIB, 200 * MIB)],
)
def test_data_that_grows_or_shrinks_as_data_does_is_taken(before: int, size: int) -> None:
    _check_size(size, before)


@pytest.mark.parametrize(
    ("before", "size", "reason"),
    [
        (10 * MIB, 5 * MIB - 1, "shrunk"),
        (MIB, 17 * MIB + 1, "grown"),
        (50 * MIB, 200 * MIB + 1, "grown"),
    ],
)
def test_data_of_another_shape_is_refused(before: int, size: int, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        _check_size(size, before)

"""The documents of the APIs, as people read them."""

import pytest

from sentineliq.cli.client.documents import RunCounts, UnitCounts, decode


@pytest.mark.parametrize(
    ("account", "line"),
    [
        (
            UnitCounts("line", 1203, 1100, {"single label": 3}, {"blank": 20, "comment": 80}),
            "1,203 lines: 1,100 read, 80 comment, 20 blank, 3 left out (3 single label)",
        ),
        (UnitCounts("object", 1, 1, {}, {}), "1 object: 1 read, 0 left out"),
    ],
)
def test_an_account_says_what_became_of_every_unit(account: UnitCounts, line: str) -> None:
    assert account.line() == line


def test_a_report_of_an_earlier_version_has_no_account() -> None:
    assert decode(RunCounts, {"taken": 5}).account is None

"""The parts of a score as bars that add up."""

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.console.waterfall import WIDTH, make_waterfall

POINTS = st.floats(-100, 100, allow_nan=False)


@given(st.lists(POINTS, max_size=30))
def test_each_bar_begins_where_the_one_before_ended(points: list[float]) -> None:
    bars = make_waterfall([{"points": value} for value in points])
    total = 0.0
    for bar, value in zip(bars, points, strict=True):
        total += value
        assert abs(bar.total - total) < 0.01
        assert bar.start >= 0
        assert bar.width >= 0
        assert bar.start + bar.width <= WIDTH + 0.01


def test_an_explanation_without_points_has_bars_of_no_width() -> None:
    assert [bar.width for bar in make_waterfall([{"kind": "source"}, {"points": None}])] == [0, 0]

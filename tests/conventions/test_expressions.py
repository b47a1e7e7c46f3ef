"""Regular expressions take linear time, whatever a stranger writes.

Each is timed in a child process with texts that are made for it: in processor time, and by the
growth from a text to one eight times as long, which is 8 where the time is linear and 64 where it
is quadratic. An expression that ends within some hundredths of a second is not looked at further.
(A count of steps would need an engine of its own, which is not the one that runs.)
"""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.sandbox.limits import JobLimits, SandboxLimitExceeded, SandboxLimits
from shared.sandbox.pool import SandboxPool
from tests.conventions.expression_job import Timing, TimingOrder, timing_job
from tests.conventions.expressions import (
    Expression,
    PumpedText,
    alphabet,
    find_expressions,
    pumped,
)

pytestmark = pytest.mark.timeout(300)

LONG = 16_000
"""Characters: lines have up to 65,536, documents millions."""
FACTOR = 8
MAX_GROWTH = 24
_SECONDS = 4.0
_EXAMPLES = 60

MADE_AT_RUN_TIME = {
    "shared/documents/html.py": "of element names; each is a text that is searched as it is",
    "services/feeds/catalog/service.py": "an escaped text",
    "services/feeds/formats/registry.py": "of a type's letters, digits and hyphens, at most 60",
}
"""Files with expressions whose text is not in the code, and what keeps strangers from them."""

BOUNDED: dict[str, int] = {}
"""Expressions whose texts are short, with the most characters that reach them."""

FOUND = list(find_expressions())
EXPRESSIONS = [place for place in FOUND if isinstance(place, Expression)]


@pytest.fixture(scope="module")
def sandbox() -> SandboxPool:
    return SandboxPool("tests", SandboxLimits(memory=512 << 20, nice=0))


def problem(
    sandbox: SandboxPool, expression: Expression, texts: Sequence[PumpedText]
) -> str | None:
    """The first text that takes the expression more than linear time."""
    source = expression.pattern.pattern
    is_bytes = isinstance(source, bytes)
    long = BOUNDED.get(expression.name, LONG)
    order = TimingOrder(
        source if is_bytes else source.encode("utf-8", "surrogatepass"),
        is_bytes,
        expression.pattern.flags,
        sorted(expression.methods),
        [(text.of_length(long), text.of_length(long // FACTOR)) for text in texts],
    )
    at = -1
    try:
        limits = JobLimits(seconds=_SECONDS + 0.1 * len(texts), wall_seconds=120)
        for frame in sandbox.run(timing_job, msgspec.msgpack.encode(order), (), limits):
            if not frame:
                at += 1
                continue
            timing = msgspec.msgpack.decode(frame, type=Timing)
            if timing.short and timing.long / timing.short > MAX_GROWTH:
                return f"{texts[at]}: {timing.long:.3f} s, {timing.long / timing.short:.0f}-fold"
    except SandboxLimitExceeded as error:
        return f"{texts[at]}: {error.message}"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("expression", EXPRESSIONS, ids=lambda expression: expression.place)
def test_an_expression_takes_linear_time(sandbox: SandboxPool, expression: Expression) -> None:
    texts = pumped(expression.pattern)
    assert problem(sandbox, expression, texts) is None


@settings(max_examples=_EXAMPLES, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_expressions_take_linear_time_with_pumps_that_nobody_thought_of(
    sandbox: SandboxPool, data: st.DataObject
) -> None:
    expression = data.draw(st.sampled_from(EXPRESSIONS))
    letters = alphabet(expression.pattern)
    piece = st.text(letters, min_size=1, max_size=6)
    pumps = st.builds(PumpedText, st.text(letters, max_size=8), piece, st.text(letters, max_size=3))
    texts = data.draw(st.lists(pumps, min_size=1, max_size=20))
    assert problem(sandbox, expression, texts) is None


def test_expressions_that_are_made_at_run_time_are_known() -> None:
    places = {place.partition(":")[0] for place in FOUND if isinstance(place, str)}
    assert places == set(MADE_AT_RUN_TIME)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "is_slow"),
    [
        (r"(?:\s|<\?[^>]*\?>|<!--.{0,2000}?-->)*<rss", True),
        (r"(?:\s++|<\?[^>]*+>|<!--(?>.{0,2000}?-->))*+<rss", False),
        (r"(a|aa)+$", True),
        (r"(?:a+)+b", True),
        (r"\s+$", True),
        (r"(?<!\s)\s++$", False),
        (r"[0-9a-f:.]+\s*-", True),
        (r"[a-z]{1,40}", False),
    ],
)
def test_slow_expressions_are_found(sandbox: SandboxPool, source: str, is_slow: bool) -> None:
    import re

    method = "match" if source.startswith("(?:\\s") else "search"
    expression = Expression("here", "here", re.compile(source, re.DOTALL), frozenset({method}))
    assert (problem(sandbox, expression, pumped(expression.pattern)) is not None) == is_slow

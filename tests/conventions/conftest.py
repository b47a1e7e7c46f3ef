"""No garbage collection within a test: these build trees of all sources, one after the other."""

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def paused_collection() -> Iterator[None]:
    """Collect between tests alone.

    Python 3.11 builds a syntax tree close to its limit of recursion. What Hypothesis calls at each
    collection may meet that limit, and `ast.parse` then fails with a `SystemError`.
    """
    gc.disable()
    yield
    gc.enable()

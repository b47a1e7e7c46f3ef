"""A feed with twenty observables."""

from typing import Any

import pytest

from tests.feeds.conftest import Desk
from tests.feeds.runs.lists import listed


@pytest.fixture
def base(desk: Desk) -> dict[str, Any]:
    """The run that read them."""
    run = desk.upload(listed(*range(20)), kind="snapshot")
    assert desk.done(run)["state"] == "succeeded"
    return run

"""The environment that a stack stores and gives its services."""

import pytest

from sentineliq.local.environment import stored_environment
from sentineliq.local.errors import StackError
from sentineliq.local.stack import Stack


def test_environment_of_a_stack_that_never_ran(tmp_path):
    with pytest.raises(StackError, match="sentineliq up"):
        stored_environment(tmp_path)


def test_services_are_reached_on_loopback_whatever_they_listen_on(tmp_path):
    environment = Stack(tmp_path, environ={"SENTINELIQ_API_HOST": "::"}).environment
    assert environment["SENTINELIQ_FEEDS_URL"] == "http://127.0.0.1:8001"
    assert environment["SENTINELIQ_API_HOST"] == "::"

"""The environment that a stack stores and gives its services."""

import json
from urllib.parse import urlsplit

import pytest

from sentineliq.local.environment import stored_environment
from sentineliq.local.errors import StackError
from sentineliq.local.secrets import load_secrets
from sentineliq.local.stack import Stack


def test_environment_of_a_stack_that_never_ran(tmp_path):
    with pytest.raises(StackError, match="sentineliq up"):
        stored_environment(tmp_path)


def test_services_are_reached_on_loopback_whatever_they_listen_on(tmp_path):
    environment = Stack(tmp_path, environ={"SENTINELIQ_API_HOST": "::"}).environment
    assert environment["SENTINELIQ_FEEDS_URL"] == "http://127.0.0.1:8001"
    assert environment["SENTINELIQ_API_HOST"] == "::"


def test_a_process_gets_its_services_login_and_no_other(tmp_path):
    stack = Stack(tmp_path, environ={"SENTINELIQ_TOKEN": "a-person's"})
    logins = load_secrets(tmp_path).database_logins
    owner = load_secrets(tmp_path).database_password
    assert owner in stack.environment["DATABASE_URL"], "who runs the installation has it"
    for service, login in logins.items():
        for kind in ("api", "worker", "consumer", "migrate"):
            environment = stack.process_environment(service, kind)
            text = json.dumps(environment)
            present = {name for name, other in logins.items() if other.password in text}
            assert present == {service}
            assert (owner in text) == (kind == "migrate")
            assert "a-person's" not in text
            is_migration = kind == "migrate"
            name = "SENTINELIQ_SERVICE_DATABASE_URL" if is_migration else "DATABASE_URL"
            assert urlsplit(environment[name]).username == login.name


def test_logins_of_an_external_server_are_used_where_they_are_given(tmp_path):
    of_feeds = "postgresql://feeds_only:x@elsewhere/x"
    stack = Stack(
        tmp_path,
        environ={
            "DATABASE_URL": "postgresql://all:x@elsewhere/x",
            "SENTINELIQ_FEEDS_DATABASE_URL": of_feeds,
        },
    )
    assert stack.process_environment("feeds", "api")["DATABASE_URL"] == of_feeds
    migration = stack.process_environment("feeds", "migrate")
    assert migration["DATABASE_URL"] == "postgresql://all:x@elsewhere/x"
    assert migration["SENTINELIQ_SERVICE_DATABASE_URL"] == of_feeds
    others = stack.process_environment("mitre", "api")
    assert others["DATABASE_URL"] == "postgresql://all:x@elsewhere/x"
    assert of_feeds not in others.values()

"""Every session has limits on both sides; what the user writes into the URL is stronger."""

import pytest
from psycopg import ProgrammingError

from shared.postgres.conninfo import SessionLimits, connection_parameters, split_hosts


def test_several_hosts_each_with_its_port() -> None:
    url = "postgresql://kim:pass@a:5432,b:5433/db?target_session_attrs=read-write"
    parameters = connection_parameters(url, "test", SessionLimits())
    assert split_hosts(parameters) == [("a", "5432"), ("b", "5433")]
    assert parameters["target_session_attrs"] == "read-write"
    assert (parameters["user"], parameters["password"]) == ("kim", "pass")


def test_one_port_is_that_of_all_hosts() -> None:
    assert split_hosts({"host": "a,b", "port": "5432"}) == [("a", "5432"), ("b", "5432")]
    assert split_hosts({}) == [("", "")]
    with pytest.raises(ProgrammingError, match="3 hosts and 2 ports"):
        split_hosts({"host": "a,b,c", "port": "1,2"})


def test_the_url_is_stronger_than_the_defaults() -> None:
    url = "postgresql://a/db?connect_timeout=9&options=-c%20lock_timeout%3D7s"
    parameters = connection_parameters(url, "test", SessionLimits(lock=5), {"role": "reader"})
    assert parameters["connect_timeout"] == "9"
    assert "-c lock_timeout=5000" in parameters["options"]
    assert "-c role=reader" in parameters["options"]
    assert parameters["options"].endswith("-c lock_timeout=7s")


def test_every_limit_is_there() -> None:
    parameters = connection_parameters("postgresql://a/db", "test", SessionLimits())
    assert {"connect_timeout", "keepalives_idle", "tcp_user_timeout"} <= parameters.keys()
    for name in (
        "statement_timeout=300000",
        "lock_timeout=10000",
        "idle_in_transaction_session_timeout=10000",
        "client_connection_check_interval",
        "tcp_user_timeout",
        "tcp_keepalives_idle",
    ):
        assert f"-c {name}" in parameters["options"]

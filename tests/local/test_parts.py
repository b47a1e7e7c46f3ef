"""Ports, secrets, jars and Java, each by itself."""

import hashlib
import socket

import pytest

from sentineliq.local import jars, kafka
from sentineliq.local.errors import StackError
from sentineliq.local.kafka import find_java
from sentineliq.local.ports import Ports, free_ports
from sentineliq.local.secrets import load_secrets
from sentineliq.local.stack import Stack, stored_environment


def test_free_ports_are_different():
    assert len(set(free_ports(20))) == 20


def test_ports_move_together():
    ports = Ports.from_base(20000)
    assert [ports.of(name) for name in Ports.names()] == list(range(20000, 20009))
    with pytest.raises(StackError, match="--port-base 65530"):
        Ports.from_base(65530)


def test_a_taken_port_is_named_with_its_part_and_the_way_out(tmp_path):
    ports = Ports.free()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.mitre))
        other.listen()
        with (
            pytest.raises(
                StackError, match=rf"{ports.mitre} \(mitre\).*--port mitre=PORT.*--port-base"
            ),
            Stack(tmp_path, ports).running(),
        ):
            pytest.fail("it is not running")
    ports.require_free(Ports.names())


def test_secrets_are_made_once_and_private(tmp_path):
    made = load_secrets(tmp_path)
    assert load_secrets(tmp_path) == made
    assert len({made.database_password, made.valkey_password, made.secret_key}) == 3
    assert len(made.secret_key) >= 32
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert made.secret_key not in repr(made)


def test_damaged_secrets_are_an_error_and_stay_as_they_are(tmp_path):
    (tmp_path / "secrets.json").write_text('{"database_password": "x"}')
    with pytest.raises(StackError, match=r"secrets\.json cannot be used"):
        load_secrets(tmp_path)
    assert (tmp_path / "secrets.json").read_text() == '{"database_password": "x"}'


def test_environment_of_a_stack_that_never_ran(tmp_path):
    with pytest.raises(StackError, match="sentineliq up"):
        stored_environment(tmp_path)


def test_services_are_reached_on_loopback_whatever_they_listen_on(tmp_path):
    environment = Stack(tmp_path, environ={"SENTINELIQ_API_HOST": "::"}).environment
    assert environment["SENTINELIQ_FEEDS_URL"] == "http://127.0.0.1:8001"
    assert environment["SENTINELIQ_API_HOST"] == "::"


def test_the_lock_names_kafka_and_a_logger_and_no_address():
    names = {jar.artifact for jar in jars.pinned()}
    assert {"kafka_2.13", "slf4j-simple"} <= names
    assert all(len(jar.sha256) == 64 for jar in jars.pinned())
    assert len({jar.file_name for jar in jars.pinned()}) == len(jars.pinned())
    assert "://" not in jars.LOCK.read_text()


def test_present_jars_need_no_network(tmp_path, monkeypatch):
    content = b"a jar"
    jar = jars.Jar("g", "a", "1", hashlib.sha256(content).hexdigest())
    assert jars.Jar.parse(str(jar)) == jar
    (tmp_path / "a-1.jar").write_bytes(content)
    assert jars.install([jar], tmp_path) == [tmp_path / "a-1.jar"]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_changed_jar_is_never_used(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, f"http://127.0.0.1:{free_ports(1)[0]}")
    (tmp_path / "a-1.jar").write_bytes(b"changed")
    with pytest.raises(StackError, match=r"a-1\.jar .* could not be fetched"):
        jars.install([jars.Jar("g", "a", "1", "0" * 64)], tmp_path)


def test_java_home_comes_first_unless_it_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = find_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == found
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    java.chmod(0o755)
    assert find_java() == str(java)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.1\"' >&2\n")
    assert find_java() == found


def test_command_line_of_the_installer(capsys):
    assert kafka.main(["install"]) == 0
    assert "46 jars checked" in capsys.readouterr().out
    assert kafka.main([]) == 2

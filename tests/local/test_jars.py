"""Kafka's jars: pinned, cached, checked."""

import hashlib

import pytest

from sentineliq.local import jars
from sentineliq.local.errors import StackError
from sentineliq.local.ports import free_ports


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

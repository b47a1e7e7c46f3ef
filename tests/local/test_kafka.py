"""Java and the installer of Kafka."""

from sentineliq.local import kafka
from sentineliq.local.kafka import find_java


def test_java_home_comes_first_unless_it_is_none(tmp_path, monkeypatch):
    monkeypatch.delenv("JAVA_HOME", raising=False)
    default = find_java()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == default
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    java.chmod(0o755)
    assert find_java() == str(java)
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.1\"' >&2\n")
    assert find_java() == default


def test_command_line_of_the_installer(capsys):
    assert kafka.main(["install"]) == 0
    assert "46 jars checked" in capsys.readouterr().out
    assert kafka.main([]) == 2

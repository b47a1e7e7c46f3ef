"""The ports of components."""

import socket

import pytest

from sentineliq.local.errors import StackError
from sentineliq.local.ports import Ports, free_ports
from sentineliq.local.stack import Stack


def test_free_ports_are_different():
    assert len(set(free_ports(20))) == 20


def test_ports_move_together():
    ports = Ports.from_base(20000)
    expected = list(range(20000, 20000 + len(Ports.names())))
    assert [ports.of(name) for name in Ports.names()] == expected
    with pytest.raises(StackError, match="--port-base 65530"):
        Ports.from_base(65530)


def test_a_port_in_use_is_named_with_its_component_and_the_solution(tmp_path):
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

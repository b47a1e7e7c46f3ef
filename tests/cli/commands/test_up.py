"""The options of `sentineliq up`."""

import pytest
import typer

from sentineliq.cli.commands.stack import choose_ports
from sentineliq.local.errors import StackError


def test_ports_can_be_moved():
    assert choose_ports(20000, ["kafka=20999"]).kafka == 20999
    assert choose_ports(20000, []).feeds == 20000
    with pytest.raises(typer.BadParameter):
        choose_ports(None, ["unknown=1"])
    with pytest.raises(StackError):
        choose_ports(80, [])

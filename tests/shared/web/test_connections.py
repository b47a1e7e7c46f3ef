"""Which connection ends when there is no room for another."""

from shared.web.connections import ConnectionTable, peer_name


class Line:
    """A connection that only notes that it was ended."""

    def __init__(self) -> None:
        self.is_ended = False

    def end(self) -> None:
        self.is_ended = True

    def check_time(self, now: float) -> None:
        raise AssertionError(now)


def test_the_oldest_stranger_of_the_peer_ends_for_a_new_connection() -> None:
    table = ConnectionTable(limit=4, limit_per_peer=2)
    other, first, second, third = (Line() for _ in range(4))
    assert table.admit(other, "192.0.2.2")
    for line in (first, second, third):
        assert table.admit(line, "192.0.2.1")
    assert [line.is_ended for line in (other, first, second, third)] == [False, True, False, False]
    assert len(table) == 3


def test_the_oldest_stranger_of_all_ends_when_the_server_is_full() -> None:
    table = ConnectionTable(limit=2, limit_per_peer=2)
    lines = [Line() for _ in range(3)]
    for number, line in enumerate(lines):
        assert table.admit(line, f"192.0.2.{number}")
    assert [line.is_ended for line in lines] == [True, False, False]


def test_no_stranger_takes_the_place_of_a_connection_with_a_token() -> None:
    table = ConnectionTable(limit=2, limit_per_peer=2)
    first = Line()
    second = Line()
    for line in (first, second):
        table.admit(line, "192.0.2.1")
        table.trust(line)
    assert not table.admit(Line(), "192.0.2.1")
    assert not table.admit(Line(), "192.0.2.9")
    table.remove(first)
    table.remove(first)
    assert table.admit(Line(), "192.0.2.9")
    assert not second.is_ended


def test_a_peer_is_an_address_or_a_network_of_ipv6() -> None:
    assert peer_name("192.0.2.1") == "192.0.2.1"
    assert peer_name("::ffff:192.0.2.1") == "192.0.2.1"
    assert peer_name("2001:db8::1") == peer_name("2001:db8::ffff:2") == "2001:db8::/64"
    assert peer_name("fe80::1%eth0") == "fe80::/64"
    assert peer_name(None) == ""

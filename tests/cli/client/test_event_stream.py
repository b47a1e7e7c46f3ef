"""Server-sent events, as they arrive."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sentineliq.cli.client.event_stream import EventStream

STREAM = (
    b': ping\n\nevent: job\ndata: {"value": "\xc3\xa4"}\nid: 1\n\n'
    b'retry: 5\ndata: {"a":\ndata: 1}\n\nevent: end\r\ndata: {}\r\n\r\nevent: cut\ndata: {"never":'
)


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_events_are_the_same_however_the_stream_is_cut(positions):
    cuts = sorted({0, *positions, len(STREAM)})
    events = EventStream()
    chunks = [STREAM[start:end] for start, end in pairwise(cuts)]
    parsed = [event for chunk in chunks for event in events.feed(chunk)]
    assert parsed == [("job", {"value": "ä"}), ("message", {"a": 1}), ("end", {})]

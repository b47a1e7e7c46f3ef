"""The starter set-up with a network and without one, one after the other on the same stack."""

import io
from dataclasses import dataclass, field

import msgspec
import pytest
from rich.console import Console

from sentineliq.cli.client.api import Client
from sentineliq.cli.onboarding.starter_setup import StarterSetup, summarize_deliveries
from sentineliq.cli.progress import ProgressLines
from sentineliq.starter import load_starter

pytestmark = pytest.mark.timeout(180)


@dataclass
class Setups:
    """Runs set-ups and collects their progress lines."""

    text: io.StringIO = field(default_factory=io.StringIO)

    def run(self, stack, starter):
        progress = ProgressLines(Console(file=self.text, width=400, color_system=None))
        with StarterSetup(stack.environment, starter, progress) as setup:
            return setup.run()


@pytest.fixture
def setups():
    return Setups()


def renamed(starter, prefix, base):
    """The starter under other names and addresses, so that the tests of this file do not meet."""
    feeds = [
        msgspec.structs.replace(feed, name=f"{prefix} {feed.name}", url=f"{base}/{feed.file}")
        for feed in starter.feeds
    ]
    named = {
        # By events, so that the count is complete before a window of a group ends.
        "rule": {**starter.rule, "name": prefix, "group_by": ["event"]},
        "channel": {**starter.channel, "name": prefix},
    }
    return msgspec.structs.replace(starter, feeds=feeds, **named)


def test_without_a_network_the_shipped_files_are_used_once(running_stack, setups):
    starter = renamed(load_starter(), "Shipped", "http://127.0.0.1:9")
    result = setups.run(running_stack, starter)
    assert not result.online
    assert {origin for origin, _ in result.feeds.values()} == {"shipped files"}
    assert sum(outcome.report.observables for _, outcome in result.feeds.values()) == 91
    assert result.attack[1].version
    assert result.best.score >= 80
    assert all(delivery.state == "delivered" for delivery in result.deliveries)
    assert "34 observables of Shipped Feodo Tracker (sample)" in " ".join(
        summarize_deliveries(result.deliveries)
    )
    assert "not reachable" in setups.text.getvalue()

    again = setups.run(running_stack, starter)
    assert {outcome.run.state for _, outcome in again.feeds.values()} == {"unchanged"}
    assert again.deliveries == []
    assert "none was sent" in setups.text.getvalue()


def test_with_a_network_the_feeds_come_from_their_addresses(running_stack, setups, serve):
    starter = load_starter()
    documents = {f"/{feed.file}": feed.sample() for feed in starter.feeds[:3]}
    base = serve(documents)
    result = setups.run(running_stack, renamed(starter, "Online", base))
    assert result.online
    origins = {name: origin for name, (origin, _) in result.feeds.items()}
    assert origins == {
        "Online Feodo Tracker": "the network",
        "Online URLhaus recent": "the network",
        "Online OASIS example report": "the network",
        # Its server answers 404: the sample stands in, and says so.
        "Online ESET Winter Vivern (sample)": "shipped files",
    }
    assert "404" in setups.text.getvalue()
    with Client(running_stack.environment, "public") as client:
        assert client.find("feeds", "/v1/feeds", "Online Feodo Tracker")["every_seconds"] == 3600

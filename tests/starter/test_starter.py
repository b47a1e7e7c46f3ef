"""The samples that ship: in their providers' layout, and without real hosts."""

import io
import re
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest

from sentineliq.starter import load_starter
from services.feeds.formats.registry import format_named
from services.feeds.subscriptions.schemas import FeedCreate
from services.notifications.channels.schemas import ChannelCreate

STARTER = load_starter()
DOCUMENTATION = [
    ip_network(text)
    for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")
]
"""RFC 5737, RFC 3849."""
RESERVED = re.compile(r"(.+\.)?example\.(com|net|org)")
"""RFC 2606."""
FEEDS = pytest.mark.parametrize("feed", STARTER.feeds, ids=lambda feed: feed.file)


def records(feed):
    parser = format_named(feed.settings["format"])
    batches = parser.parse(io.BytesIO(feed.sample()), feed.settings.get("options", {}))
    return [record for batch in batches for record in batch.indicators]


@FEEDS
def test_the_api_takes_the_feed(feed):
    FeedCreate(name=feed.name, url=feed.url, every_seconds=feed.every_seconds, **feed.settings)
    FeedCreate(name=feed.sample_name, **feed.settings)
    ChannelCreate(**STARTER.channel)


@FEEDS
def test_the_sample_is_parsed_and_names_only_reserved_hosts(feed):
    parsed = records(feed)
    assert len(parsed) >= 10
    for record in parsed:
        if record.type in ("ipv4-addr", "ipv6-addr", "domain-name", "url", "email-addr"):
            assert _is_reserved(_host(record)), record.value


def _host(record):
    if record.type == "url":
        return urlsplit(record.value).hostname
    return record.value.rpartition("@")[2]


def _is_reserved(host):
    try:
        address = ip_address(host)
    except ValueError:
        return RESERVED.fullmatch(host)
    return any(address in network for network in DOCUMENTATION)


def test_samples_bring_what_the_rule_is_about():
    grades = {"A": 100, "B": 80, "C": 60, "D": 40, "E": 20, "F": 50}
    best = max(
        grades[feed.settings["reliability"]] * feed.settings["confidence"] / 100
        for feed in STARTER.feeds
    )
    assert best >= STARTER.rule["min_score"]


def test_tables_keep_the_columns_of_their_provider():
    urlhaus = next(feed for feed in STARTER.feeds if feed.file == "urlhaus-recent.csv")
    record = records(urlhaus)[0]
    assert record.first_seen.startswith("2026-11-")
    assert "malware_download" in record.tags
    assert record.ref.startswith("https://urlhaus.abuse.ch/url/")

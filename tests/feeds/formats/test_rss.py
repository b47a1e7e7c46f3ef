"""RSS and Atom."""

import pytest

from services.feeds.formats import MalformedDocument
from services.feeds.formats.rss import RssFormat
from tests.feeds.formats.contract import FormatContract, pairs, parse

RSS = b"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>Blog</title><link>https://www.blog.example.org/</link>
<item><title>A &lt;b&gt;stealer&lt;/b&gt; at evil[.]com</title>
<link>https://blog.example.org/p/1</link>
<pubDate>Tue, 03 Mar 2026 10:00:00 +0200</pubDate>
<description>&lt;p&gt;
See &lt;a href="http://link.example.com"&gt;\
https://blog.example.org/p/0&lt;/a&gt;&lt;/p&gt;</description>
<content:encoded><![CDATA[<table><tr><td>bad[.]example[.]net</td><td>192.0.2.7</td></tr></table>
T1059.001]]></content:encoded>
</item>
<item><title>Nothing to name</title></item>
</channel></rss>
"""
ATOM = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>t</title>
<link href="https://a.example.org/"/>
<entry><title>E</title><id>urn:one</id><updated>2026-01-02T00:00:00Z</updated>
<summary>hxxp://evil[.]com/x</summary>
<content type="html">&lt;p&gt;d41d8cd98f00b204e9800998ecf8427e&lt;/p&gt;</content></entry></feed>
"""


class TestRss(FormatContract):
    format = RssFormat()
    samples = (RSS, ATOM)


def test_what_entries_name_with_their_link_title_and_time():
    whole = parse(RssFormat(), RSS)
    assert pairs(whole) == [
        ("domain-name", "evil.com"),
        ("domain-name", "bad.example.net"),
        ("ipv4-addr", "192.0.2.7"),
    ]
    assert {
        (indicator.ref, indicator.description, indicator.first_seen)
        for indicator in whole.indicators
    } == {("https://blog.example.org/p/1", "A stealer at evil[.]com", "2026-03-03T08:00:00Z")}
    assert whole.notes == ["names ATT&CK T1059.001"]


def test_atom_entries_without_a_link_are_named_by_their_id():
    whole = parse(RssFormat(), ATOM)
    assert pairs(whole) == [
        ("url", "http://evil.com/x"),
        ("file-md5", "d41d8cd98f00b204e9800998ecf8427e"),
    ]
    assert {(indicator.ref, indicator.first_seen) for indicator in whole.indicators} == {
        ("urn:one", "2026-01-02T00:00:00Z")
    }


def test_a_feed_that_is_not_well_formed_is_read_and_noted():
    whole = parse(RssFormat(), RSS.replace(b"Nothing to name", b"A & B at worse[.]com"))
    assert ("domain-name", "worse.com") in pairs(whole)
    assert whole.notes[0].startswith("the feed is not well-formed")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<opml></opml>", "neither RSS nor Atom"),
        (b"192.0.2.1\n", "neither RSS nor Atom"),
        (RSS[:-10], "cut off"),
        (b"", "empty"),
    ],
)
def test_what_is_no_whole_feed_is_refused(data, words):
    with pytest.raises(MalformedDocument, match=words):
        parse(RssFormat(), data)


def test_entities_name_no_files():
    hostile = RSS.replace(
        b"<rss", b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/hostname">]><rss', 1
    )
    hostile = hostile.replace(b"Nothing to name", b"x&x;y.example.com")
    assert all("hostname" not in value for _, value in pairs(parse(RssFormat(), hostile)))

"""Notifications that someone hostile has written.

Hypothesis draws a text of any characters and a seed; the seed composes texts, among them that one.
Drawing every piece by itself would take a hundred times as long as sending it.
"""

from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from services.notifications.channel_types.base import Notification

_PIECES = (
    *("@here", "@everyone", "@channel", "@all", "<!channel>", "<!here>", "<@U0123ABC>"),
    *("<at>you</at>", "[~admin]", "<@&12345>", "@admin", "<users/all>"),
    *("```", "`", "**bold**", "_x_", "~~x~~", "|| x ||", "</b>", "<b>", "&amp;", "&", "<", ">"),
    *("{code}", "{noformat}", "[a](http://evil.example)", "<http://evil.example|click>", "\\"),
    *("# title", "\r\nBcc: x@evil.example", "\x00", "\u202e", "\u2028", "\ufeff", "]]>"),
    *("{{7*7}}", "%s", "|", "=", "http://a.example/", "x" * 400, "ä" * 90, "😀" * 60, " ", ""),
)


class _Author:
    """Writes texts from a seed, and a text that Hypothesis has drawn."""

    def __init__(self, seed: int, text: str) -> None:
        self.random = Random(seed)  # noqa: S311  # no secret depends on it
        self._pieces = (*_PIECES, text)

    def text(self) -> str:
        return "".join(self.random.choices(self._pieces, k=self.random.randint(1, 7)))

    def choose(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def match(self) -> dict[str, Any]:
        if self.random.random() < 0.2:
            return {"kind": "health", "feed": self.text(), "state": self.text(), "before": "old"}
        match: dict[str, Any] = {
            "id": "url--1",
            "type": self.choose("url", "ipv4-addr", "file-sha256", "no-such-type"),
            "value": self.text(),
            "kind": self.choose("new", "changed", "expired"),
            "score": self.random.randint(0, 100),
        }
        if self.choose(True, False):
            match["tags"] = [self.text() for _ in range(self.random.randint(0, 4))]
            match["score_before"] = 7
        return match


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    author = _Author(draw(st.integers(0, 2**62)), draw(st.text(max_size=40)))
    matches = [author.match() for _ in range(author.random.randint(0, 4))]
    matches = (matches * author.choose(1, 1, 1, 5, 50))[:50]
    more = author.choose(0, 1, 99_999)
    number = UUID(int=author.random.getrandbits(128))
    labels = {author.text(): author.text() for _ in range(author.choose(0, 1, 7))}
    return Notification(
        id=number,
        tenant="acme",
        rule_id=UUID(int=2),
        rule=author.text(),
        source=author.text(),
        match_count=len(matches) + more,
        matches=matches,
        created_at=datetime(2026, 5, 1, tzinfo=UTC),
        url=f"https://sentineliq.example/v1/deliveries/{number}?a=1&b=(2)",
        kind=author.choose("open", "summary", "digest"),
        total_count=len(matches) + more,
        severity=author.choose("low", "medium", "high", "critical"),
        labels=labels,
        reason=author.choose(None, author.text()),
        acknowledge_url=author.choose(None, "https://sentineliq.example/l/abc?x=1&y=2"),
        text=author.choose(None, None, None, author.text()),
    )

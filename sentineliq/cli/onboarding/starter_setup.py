"""The first minutes of an installation: its feeds, ATT&CK, one rule, and what came of them.

What is there already is left alone: a feed or a rule that somebody deleted does not come back, and nothing that was
ingested is ingested again.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final, Literal, Self

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.follow_run import RunFailed, RunOutcome, follow
from sentineliq.cli.commands.mitre import follow_load
from sentineliq.cli.progress import ProgressLines
from sentineliq.starter import Starter, StarterFeed
from shared.database import PUBLIC
from shared.errors import UpstreamError
from shared.http import GuardedClient, Limits
from shared.http.guard import Network

Origin = Literal["the network", "shipped files"]

_ONLINE_WITHIN: Final = Limits(connect=3, total=3)
_SCHEDULED_WITHIN: Final = 8.0
"""Seconds: Beat looks for due feeds every five."""
_FETCHED_WITHIN: Final = 25.0
_LOADED_WITHIN: Final = 40.0
_NOTIFIED_WITHIN: Final = 10.0
_POLL: Final = 0.1


@dataclass
class StarterResult:
    """What the first minutes brought.

    Attributes:
        online: whether the feeds' own addresses could be asked.
        feeds: by name, where each came from and what it brought.
        attack: the current release, and where it came from.
        best: the observable with the highest score.
        deliveries: notifications that went out.
    """

    online: bool
    feeds: dict[str, tuple[Origin, RunOutcome]] = field(default_factory=dict)
    attack: tuple[Origin | None, Json] | None = None
    observables: int = 0
    best: Json | None = None
    deliveries: list[Json] = field(default_factory=list)


class StarterSetup:
    """Sets up what `starter.yaml` says. Use as a context manager.

    Args:
        environment: of the running stack.
        starter: what to set up.
        progress: gets a line for everything that happens.
    """

    def __init__(
        self, environment: Mapping[str, str], starter: Starter, progress: ProgressLines
    ) -> None:
        self._resources = ExitStack()
        self._public = self._resources.enter_context(Client(environment, PUBLIC))
        self._default = self._resources.enter_context(Client(environment, "default"))
        allowed = environment.get("SENTINELIQ_OUTBOUND_ALLOW", "").split(",")
        self._allow = tuple(ip_network(one.strip()) for one in allowed if one.strip())
        self._starter = starter
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def tell(self) -> StarterResult:
        """Do it all, in an order in which the rule is there before what it matches.

        Raises:
            SentinelIQError: something failed that no shipped file can stand in for.
        """
        before = time.time()
        news = StarterResult(online=asyncio.run(_answers(self._starter.feeds[0].url, self._allow)))
        if not news.online:
            self._progress.line(
                "network", "not reachable: the files that ship with SentinelIQ are used", "yellow"
            )
        there = {
            feed["name"]: feed
            for feed in self._public.items("feeds", "/v1/feeds")
            if feed["tenant"] == PUBLIC
        }
        if not there:
            self._make_rule()
        load = self._request_attack(news)
        self._subscribe(news, there)
        for feed in self._starter.feeds:
            self._bring(feed, news, there)
        self._await_attack(news, load)
        self._score(news)
        self._notified(news, before)
        return news

    def _make_rule(self) -> None:
        channel = self._default.post("notifications", "/v1/channels", self._starter.channel)
        rule = {**self._starter.rule, "channel_ids": [channel["id"]]}
        self._default.post("notifications", "/v1/rules", rule)
        self._progress.line(
            "rule", f"{rule['name']!r} notifies through the channel {channel['name']!r}"
        )

    def _subscribe(self, news: StarterResult, there: Mapping[str, Json]) -> None:
        """Make the feeds with their own addresses; each is due at once, and Beat starts it."""
        for feed in self._starter.feeds if news.online else ():
            if feed.name not in there:
                body = {
                    "name": feed.name,
                    "url": feed.url,
                    "every_seconds": feed.every_seconds,
                    **feed.settings,
                }
                self._public.post("feeds", "/v1/feeds", body)

    def _bring(self, feed: StarterFeed, news: StarterResult, there: Mapping[str, Json]) -> None:
        if feed.name in there:
            self._progress.line(
                "feed",
                f"{feed.name}: subscribed already, fetched every {feed.every_seconds // 60} min",
            )
            return
        if news.online:
            try:
                outcome = follow(self._public, self._first_run(feed), patience=_FETCHED_WITHIN)
            except RunFailed as error:
                self._progress.line(
                    "feed", f"{error.message}; its sample is used until the next try", "yellow"
                )
            else:
                self._brought(news, "the network", outcome)
                return
        run = self._upload(feed)
        self._brought(news, "shipped files", follow(self._public, run))

    def _first_run(self, feed: StarterFeed) -> Json:
        found = self._public.find("feeds", "/v1/feeds", feed.name)
        deadline = time.monotonic() + _SCHEDULED_WITHIN
        while time.monotonic() < deadline:
            runs: list[Json] = self._public.get("feeds", "/v1/runs", feed=found["id"])["items"]
            if runs:
                return runs[-1]
            time.sleep(_POLL)
        started: Json = self._public.post("feeds", f"/v1/feeds/{found['id']}/runs")
        return started

    def _upload(self, feed: StarterFeed) -> Json:
        options = output.as_json(feed.settings["options"]) if "options" in feed.settings else None
        named = {"tag": feed.settings.get("tags"), "options": options}
        simple = {
            key: value for key, value in feed.settings.items() if key not in ("tags", "options")
        }
        run: Json = self._public.upload(
            "feeds", "/v1/ingest", feed.sample(), name=feed.sample_name, **named, **simple
        )
        return run

    def _brought(self, news: StarterResult, origin: Origin, outcome: RunOutcome) -> None:
        news.feeds[outcome.run["feed"]] = (origin, outcome)
        self._progress.line("feed", f"{outcome.line()} [from {origin}]")

    def _request_attack(self, news: StarterResult) -> Json | None:
        """Ask for the domain's release, unless there is one; loading goes on beside the feeds."""
        if self._current_release():
            return None
        load: Json
        if news.online:
            load = self._public.post("mitre", "/v1/loads", {"domain": self._starter.attack.domain})
        else:
            load = self._upload_attack()
        return load

    def _upload_attack(self) -> Json:
        attack = self._starter.attack
        load: Json = self._public.upload(
            "mitre", "/v1/loads/upload", attack.sample(), name=attack.file
        )
        return load

    def _await_attack(self, news: StarterResult, load: Json | None) -> None:
        origin: Origin | None = None
        if load is not None:
            origin = "the network" if news.online else "shipped files"
            try:
                follow_load(self._public, load, _LOADED_WITHIN)
            except RunFailed as error:
                if not news.online:
                    raise
                self._progress.line(
                    "ATT&CK", f"{error.message}; the shipped excerpt is used for now", "yellow"
                )
                origin = "shipped files"
                follow_load(self._public, self._upload_attack(), _LOADED_WITHIN)
        release = self._current_release()
        if release is not None:
            news.attack = (origin, release)
            count = release["counts"].get("attack-pattern", 0)
            there = f"[from {origin}]" if origin else "(there already)"
            self._progress.line(
                "ATT&CK", f"{release['name']} {release['version']}: {count:,} techniques {there}"
            )

    def _current_release(self) -> Json | None:
        found = self._public.get("mitre", "/v1/releases", domain=self._starter.attack.domain)[
            "items"
        ]
        return next((release for release in found if release["current"]), None)

    def _score(self, news: StarterResult) -> None:
        news.observables = self._default.get("observables", "/v1/observables/count")["count"]
        news.best = highest(self._default)
        if news.best is not None:
            best, sources = news.best, {one["source"] for one in news.best["assertions"]}
            scored = (
                f"{news.observables:,} observables scored; highest {best['score']}: {best['value']}"
            )
            self._progress.line("scores", f"{scored} (by {', '.join(sorted(sources))})")

    def _notified(self, news: StarterResult, since: float) -> None:
        """Wait for the notifications that this brought; none are owed when nothing is new."""
        new = sum(
            outcome.stored["new"] + outcome.stored["changed"] for _, outcome in news.feeds.values()
        )
        if new and news.best and news.best["score"] >= self._starter.rule["min_score"]:
            news.deliveries = await_deliveries(self._default, since)
        for line in summed(news.deliveries):
            self._progress.line("notification", line)
        if not news.deliveries:
            self._progress.line(
                "notification", "none went out: no observable newly reached a rule's score"
            )


def highest(client: Client) -> Json | None:
    """The observable with the highest score a tenant sees; None when there is none."""
    for floor in (95, 90, 80, 60, 0):
        page: list[Json] = client.get(
            "observables", "/v1/observables", min_score=floor, limit=1000
        )["items"]
        if page:
            return max(page, key=lambda one: one["score"])
    return None


def summed(deliveries: list[Json]) -> list[str]:
    """Deliveries in words, those of one rule, channel, feed and state together."""
    together: dict[tuple[str, ...], list[int]] = {}
    for one in deliveries:
        key = one["rule"], one["channel"], one["source"], one["state"]
        together.setdefault(key, []).append(one["match_count"])
    return [
        f"rule {rule!r}: {sum(counts):,} observables of {source}: {len(counts)} {state} through {channel!r}"
        for (rule, channel, source, state), counts in together.items()
    ]


def await_deliveries(client: Client, since: float, within: float = _NOTIFIED_WITHIN) -> list[Json]:
    """The deliveries made since a moment, once there are some and none of them is under way; or after `within` s."""
    deadline = time.monotonic() + within
    settled = 0
    while True:
        newest = client.items("notifications", "/v1/deliveries", most=500)
        found = [one for one in newest if _made(one) >= since]
        settled = (
            settled + 1
            if found and all(one["state"] in ("delivered", "failed") for one in found)
            else 0
        )
        # Twice the same picture: chunks of one run are matched one after the other.
        if settled == 3 or time.monotonic() > deadline:
            return found[::-1]
        time.sleep(_POLL)


def _made(delivery: Mapping[str, Any]) -> float:
    return output.timestamp(delivery["created_at"])


async def _answers(url: str, allow: Sequence[Network]) -> bool:
    """Whether a server can be asked at all; what it answers does not matter."""
    try:
        async with GuardedClient(allow, _ONLINE_WITHIN) as client, client.stream("HEAD", url):
            return True
    except UpstreamError:
        return False

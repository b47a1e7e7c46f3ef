"""Sets up a fresh installation: the starter's feeds, ATT&CK and one rule, and waits for the result.

What exists already stays as it is: a feed or a rule that was deleted does not come back, and
nothing is ingested twice.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Final, Literal, Self

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import (
    AttackRelease,
    DeliverySummary,
    NamedItem,
    ObservableSummary,
    decode,
)
from sentineliq.cli.client.follow_load import follow_load
from sentineliq.cli.client.follow_run import RunFailed, RunOutcome, follow_run
from sentineliq.cli.progress import ProgressLines
from sentineliq.starter import Starter, StarterFeed
from shared.errors import NotFound, UpstreamError
from shared.http import GuardedClient, Limits
from shared.http.guard import Network
from shared.tenants import PUBLIC

Origin = Literal["the network", "shipped files"]

_PROBE_LIMITS: Final = Limits(connect=3, total=3)
_SCHEDULED_WITHIN: Final = 8.0
"""Seconds: Beat looks for due feeds every five."""
_FETCHED_WITHIN: Final = 25.0
_LOADED_WITHIN: Final = 40.0
_NOTIFIED_WITHIN: Final = 10.0
_POLL: Final = 0.1


@dataclass
class StarterResult:
    """The result of the set-up.

    Attributes:
        online: whether the feeds' own addresses were reachable.
        feeds: by name, the origin and the outcome of each new feed's first run.
        attack: the current ATT&CK release; its origin is None where it was loaded before.
        best: the observable with the highest score.
        deliveries: the notifications that were sent.
    """

    online: bool
    feeds: dict[str, tuple[Origin, RunOutcome]] = field(default_factory=dict)
    attack: tuple[Origin | None, AttackRelease] | None = None
    observables: int = 0
    best: ObservableSummary | None = None
    deliveries: list[DeliverySummary] = field(default_factory=list)


class StarterSetup:
    """Sets up what `starter.yaml` lists. Use it as a context manager.

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
        networks = environment.get("SENTINELIQ_OUTBOUND_ALLOW", "").split(",")
        self._allow = tuple(ip_network(text.strip()) for text in networks if text.strip())
        self._starter = starter
        self._progress = progress

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def run(self) -> StarterResult:
        """Set everything up; the rule exists before the first observable that it matches.

        Raises:
            SentinelIQError: a step failed that no shipped file can replace.
        """
        began = time.time()
        is_online = asyncio.run(_is_reachable(self._starter.feeds[0].url, self._allow))
        result = StarterResult(online=is_online)
        if not is_online:
            message = "not reachable: the files that ship with SentinelIQ are used"
            self._progress.line("network", message, "yellow")
        existing = {
            feed["name"]
            for feed in self._public.items("feeds", "/v1/feeds")
            if feed["tenant"] == PUBLIC
        }
        if not existing:
            self._create_rule()
        # Loading ATT&CK goes on beside the feeds.
        load = self._request_attack(result)
        if is_online:
            self._subscribe(existing)
        for feed in self._starter.feeds:
            self._bring_in(feed, result, existing)
        self._await_attack(result, load)
        self._report_scores(result)
        self._await_notifications(result, began)
        return result

    def _create_rule(self) -> None:
        document = self._default.post("notifications", "/v1/channels", self._starter.channel)
        channel = decode(NamedItem, document)
        rule = {**self._starter.rule, "channel_ids": [channel.id]}
        self._default.post("notifications", "/v1/rules", rule)
        message = f"{rule['name']!r} notifies through the channel {channel.name!r}"
        self._progress.line("rule", message)

    def _subscribe(self, existing: set[str]) -> None:
        """Create the missing feeds with their own addresses; each is due at once."""
        for feed in self._starter.feeds:
            if feed.name not in existing:
                body = {
                    "name": feed.name,
                    "url": feed.url,
                    "every_seconds": feed.every_seconds,
                    **feed.settings,
                }
                self._public.post("feeds", "/v1/feeds", body)

    def _bring_in(self, feed: StarterFeed, result: StarterResult, existing: set[str]) -> None:
        """Wait for a feed's first run; where it fails, upload the sample."""
        if feed.name in existing:
            interval = f"fetched every {feed.every_seconds // 60} min"
            self._progress.line("feed", f"{feed.name}: subscribed already, {interval}")
            return
        if result.online:
            try:
                run = self._first_run(feed)
                outcome = follow_run(self._public, run, patience=_FETCHED_WITHIN)
            except RunFailed as error:
                message = f"{error.message}; its sample is used until the next try"
                self._progress.line("feed", message, "yellow")
            else:
                self._record(result, "the network", outcome)
                return
        outcome = follow_run(self._public, self._upload_sample(feed))
        self._record(result, "shipped files", outcome)

    def _first_run(self, feed: StarterFeed) -> Json:
        """The run that Beat starts; or one of our own where Beat is late."""
        feed_id = self._public.resolve("feeds", "/v1/feeds", feed.name).id
        deadline = time.monotonic() + _SCHEDULED_WITHIN
        while time.monotonic() < deadline:
            runs: list[Json] = self._public.get("feeds", "/v1/runs", feed=feed_id)["items"]
            if runs:
                return runs[-1]
            time.sleep(_POLL)
        run: Json = self._public.post("feeds", f"/v1/feeds/{feed_id}/runs")
        return run

    def _upload_sample(self, feed: StarterFeed) -> Json:
        # A feed that is there keeps the settings that somebody may have given it.
        settings = {} if self._exists(feed.sample_name) else dict(feed.settings)
        tags = settings.pop("tags", None)
        options = settings.pop("options", None)
        run: Json = self._public.upload(
            "feeds",
            "/v1/ingest",
            feed.sample(),
            name=feed.sample_name,
            tag=tags,
            options=None if options is None else output.to_json(options),
            **settings,
        )
        return run

    def _exists(self, name: str) -> bool:
        try:
            self._public.resolve("feeds", "/v1/feeds", name)
        except NotFound:
            return False
        return True

    def _record(self, result: StarterResult, origin: Origin, outcome: RunOutcome) -> None:
        result.feeds[outcome.run.feed] = (origin, outcome)
        self._progress.line("feed", f"{outcome.line()} [from {origin}]")

    def _request_attack(self, result: StarterResult) -> Json | None:
        """Request the domain's release, unless there is one."""
        if self._current_release():
            return None
        if not result.online:
            return self._upload_attack()
        body = {"domain": self._starter.attack.domain}
        load: Json = self._public.post("mitre", "/v1/loads", body)
        return load

    def _upload_attack(self) -> Json:
        attack = self._starter.attack
        load: Json = self._public.upload(
            "mitre", "/v1/loads/upload", attack.sample(), name=attack.file
        )
        return load

    def _await_attack(self, result: StarterResult, load: Json | None) -> None:
        origin = None if load is None else self._finish_load(load, is_online=result.online)
        release = self._current_release()
        if release is None:
            return
        result.attack = (origin, release)
        count = release.counts.get("attack-pattern", 0)
        source = f"[from {origin}]" if origin else "(loaded already)"
        text = f"{release.name} {release.version}: {count:,} techniques {source}"
        self._progress.line("ATT&CK", text)

    def _finish_load(self, load: Json, *, is_online: bool) -> Origin:
        """Wait for a load; where the network failed, load the shipped excerpt."""
        try:
            follow_load(self._public, load, _LOADED_WITHIN)
        except RunFailed as error:
            if not is_online:
                raise
            message = f"{error.message}; the shipped excerpt is used for now"
            self._progress.line("ATT&CK", message, "yellow")
            follow_load(self._public, self._upload_attack(), _LOADED_WITHIN)
            return "shipped files"
        return "the network" if is_online else "shipped files"

    def _current_release(self) -> AttackRelease | None:
        domain = self._starter.attack.domain
        items = self._public.get("mitre", "/v1/releases", domain=domain)["items"]
        releases = decode(list[AttackRelease], items)
        return next((release for release in releases if release.current), None)

    def _report_scores(self, result: StarterResult) -> None:
        count = self._default.get("observables", "/v1/observables/count")["count"]
        result.observables = count
        best = highest_score(self._default)
        result.best = best
        if best is None:
            return
        sources = sorted({assertion.source for assertion in best.assertions})
        text = f"{count:,} observables scored; highest {best.score}: {best.value}"
        self._progress.line("scores", f"{text} (by {', '.join(sources)})")

    def _await_notifications(self, result: StarterResult, since: float) -> None:
        """Wait for notifications, if something new can have matched the rule."""
        changes = sum(
            outcome.stored.new + outcome.stored.changed for _, outcome in result.feeds.values()
        )
        if changes and result.best and result.best.score >= self._starter.rule["min_score"]:
            result.deliveries = await_deliveries(self._default, since)
        for line in summarize_deliveries(result.deliveries):
            self._progress.line("notification", line)
        if not result.deliveries:
            text = "none was sent: no observable newly reached a rule's score"
            self._progress.line("notification", text)


def highest_score(client: Client) -> ObservableSummary | None:
    """The observable with the highest score that a tenant sees; None when there is none."""
    for floor in (95, 90, 80, 60, 0):
        page = client.get("observables", "/v1/observables", min_score=floor, limit=1000)["items"]
        if page:
            observables = decode(list[ObservableSummary], page)
            return max(observables, key=lambda observable: observable.score)
    return None


def summarize_deliveries(deliveries: Sequence[DeliverySummary]) -> list[str]:
    """Deliveries as lines, those of one rule, channel, feed and state together."""
    counts: dict[tuple[str, str, str, str], list[int]] = {}
    for delivery in deliveries:
        key = (delivery.rule, delivery.channel, delivery.source, delivery.state)
        counts.setdefault(key, []).append(delivery.match_count)
    return [
        f"rule {rule!r}: {sum(matches):,} observables of {source}: "
        f"{len(matches)} {state} through {channel!r}"
        for (rule, channel, source, state), matches in counts.items()
    ]


def await_deliveries(
    client: Client, since: float, within: float = _NOTIFIED_WITHIN
) -> list[DeliverySummary]:
    """The deliveries created since a time, once all of them have ended.

    Args:
        client: of the rule's tenant.
        since: seconds since 1970.
        within: seconds after which it returns what there is.
    """
    deadline = time.monotonic() + within
    settled = 0
    while True:
        documents = list(client.items("notifications", "/v1/deliveries", most=500))
        deliveries = [
            delivery
            for delivery in decode(list[DeliverySummary], documents)
            if datetime.fromisoformat(delivery.created_at).timestamp() >= since
        ]
        has_ended = all(delivery.state in ("delivered", "failed") for delivery in deliveries)
        settled = settled + 1 if deliveries and has_ended else 0
        # Several times the same: the chunks of one run are matched one after the other.
        if settled == 3 or time.monotonic() > deadline:
            return deliveries[::-1]
        time.sleep(_POLL)


async def _is_reachable(url: str, allow: Sequence[Network]) -> bool:
    """Whether a server answers at all, whatever its answer is."""
    try:
        async with GuardedClient(allow, _PROBE_LIMITS) as client, client.stream("HEAD", url):
            return True
    except UpstreamError:
        return False

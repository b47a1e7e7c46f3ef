"""Fetching the documents of a run: in turn with other runs, with the feed's credentials."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.feeds.catalog.service import address_interval
from services.feeds.collectors.base import Credentials, FeedSource, FetchedDocument
from services.feeds.collectors.credentials import open_credentials
from services.feeds.collectors.registry import collector_named
from services.feeds.quotas.limits import FETCHED_BYTES
from services.feeds.runs.leased_run import LeasedRun, Postponed
from services.feeds.runs.models import Visit
from services.feeds.runs.repository import turns
from services.feeds.subscriptions.service import unseal_credentials
from shared.database import PLATFORM
from shared.errors import RateExceeded, UpstreamError
from shared.http import GuardedClient, Limits
from shared.http.guard import origin_of
from shared.http.outbound import outbound_of
from shared.quotas import require_rate
from shared.settings import Settings

_LIMITS: Final = Limits(total=600.0)
_MAX_WAIT: Final = 2.0
"""Seconds that a run waits for its turn at a provider without giving its worker up."""
_MAX_PAUSE: Final = 86_400.0
"""Seconds that a host may ask for."""
_BUSY_PAUSE: Final = 60.0
"""Seconds for which a host is left alone that answers 429 and names no time."""


async def fetch_documents(
    run: LeasedRun, settings: Settings, scratch: Path
) -> AsyncGenerator[FetchedDocument, None]:
    """The documents that are new since the feed's cursor.

    Args:
        run: its report counts the seconds of fetching.
        settings: of this process.
        scratch: a folder for the documents' files.

    Raises:
        Postponed: other runs visit the provider first, or the tenant has fetched enough today.
        UpstreamError: the provider failed or refused.
    """
    feed = run.feed
    url = feed.url or ""
    host = urlsplit(url).hostname or ""
    await asyncio.to_thread(_check_quota, run)
    await asyncio.to_thread(_wait_for_turn, run, host)
    collector = collector_named(feed.collector)
    async with _client(run, settings, scratch) as (client, credentials):
        # From its beginning, when the feed says everything again.
        cursor = feed.cursor if run.full_reason is None else {}
        source = FeedSource(url, feed.collector_options, cursor, credentials)
        try:
            async with aclosing(collector.collect(source, client, scratch)) as documents:
                while True:
                    with run.report.stage("fetch"):
                        document = await anext(documents, None)
                    if document is None:
                        return
                    yield document
        except UpstreamError as error:
            if pause := _pause_of(error):
                await asyncio.to_thread(_postpone_visits, run, host, pause)
            raise


def _check_quota(run: LeasedRun) -> None:
    tenant = run.feed.tenant
    try:
        with run.database.transaction(tenant) as session:
            require_rate(session, tenant, FETCHED_BYTES)
    except RateExceeded as error:
        raise Postponed(error.retry_after or 1.0, error.message) from None


def _pause_of(error: UpstreamError) -> float:
    """Seconds for which the host wants to be left alone."""
    if error.retry_after:
        return min(error.retry_after, _MAX_PAUSE)
    return _BUSY_PAUSE if error.details.get("upstream_status") == 429 else 0.0


def _postpone_visits(run: LeasedRun, host: str, seconds: float) -> None:
    feed = run.feed
    # What a host answers to an account is about that account, and no other tenant's matter.
    is_personal = feed.auth is not None or bool(feed.collector_options.get("headers"))
    with run.database.transaction(PLATFORM) as session:
        if is_personal:
            turns.postpone_tenant(session, host, feed.tenant, seconds)
        else:
            turns.postpone_visits(session, host, seconds)


def _wait_for_turn(run: LeasedRun, host: str) -> None:
    feed = run.feed
    url = feed.url or ""
    visit = Visit(feed.tenant, host, url, address_interval(url), feed.min_interval)
    end = time.monotonic() + _MAX_WAIT
    while True:
        with run.database.transaction(PLATFORM) as session:
            wait = turns.take_turn(session, visit)
        if not wait:
            return
        if time.monotonic() + wait > end:
            raise Postponed(wait, f"{host} was visited a moment ago, or asked for a pause")
        time.sleep(wait)


@asynccontextmanager
async def _client(
    run: LeasedRun, settings: Settings, scratch: Path
) -> AsyncIterator[tuple[GuardedClient, Credentials]]:
    """A client with the feed's certificate, and the feed's other credentials."""
    auth = unseal_credentials(run.feed, settings)
    async with (
        open_credentials(auth, scratch) as (credentials, certificate),
        GuardedClient(
            outbound_of(settings, run.feed.tenant),
            _LIMITS,
            certificate=certificate,
            home=origin_of(run.feed.url),
        ) as client,
    ):
        yield client, credentials

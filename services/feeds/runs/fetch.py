"""Fetching the documents of a run: in turn with other runs, with the feed's credentials."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.feeds.collectors.base import Credentials, FeedSource, FetchedDocument
from services.feeds.collectors.credentials import open_credentials
from services.feeds.collectors.registry import collector_named
from services.feeds.runs.leased_run import LeasedRun, Postponed
from services.feeds.runs.repository import turns
from services.feeds.subscriptions.service import unseal_credentials
from shared.database import PLATFORM
from shared.errors import UpstreamError
from shared.http import GuardedClient, Limits
from shared.http.guard import origin_of
from shared.settings import Settings

_LIMITS: Final = Limits(total=600.0)
_MAX_WAIT: Final = 2.0
"""Seconds that a run waits for its turn at a provider without giving its worker up."""


async def fetch_documents(
    run: LeasedRun, settings: Settings, scratch: Path
) -> AsyncGenerator[FetchedDocument, None]:
    """The documents that are new since the feed's cursor.

    Args:
        run: its report counts the seconds of fetching.
        settings: of this process.
        scratch: a folder for the documents' files.

    Raises:
        Postponed: other runs visit the provider first.
        UpstreamError: the provider failed or refused.
    """
    feed = run.feed
    url = feed.url or ""
    host = urlsplit(url).hostname or ""
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
            if error.retry_after:
                await asyncio.to_thread(_postpone_visits, run, host, error.retry_after)
            raise


def _postpone_visits(run: LeasedRun, host: str, seconds: float) -> None:
    with run.database.transaction(PLATFORM) as session:
        turns.postpone_visits(session, host, seconds)


def _wait_for_turn(run: LeasedRun, host: str) -> None:
    while True:
        with run.database.transaction(PLATFORM) as session:
            wait = turns.take_turn(session, host, run.feed.min_interval)
        if not wait:
            return
        if wait > _MAX_WAIT:
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
            settings.outbound_allow,
            _LIMITS,
            certificate=certificate,
            home=origin_of(run.feed.url),
        ) as client,
    ):
        yield client, credentials

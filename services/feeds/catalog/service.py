"""The public feeds that come with SentinelIQ: data in `catalog/entries/`, one file each."""

import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Final

import yaml
from pydantic import ValidationError

from services.feeds.catalog.schemas import CatalogEntry, CatalogSubscription
from services.feeds.collectors.credentials import Auth
from services.feeds.subscriptions import service as subscriptions
from services.feeds.subscriptions.models import Feed
from services.feeds.subscriptions.schemas import FeedCreate
from shared.auth import Principal
from shared.database import Database
from shared.errors import InvalidInput, NotFound

FOLDER: Final = Path(__file__).parent / "entries"
_INHERITED: Final = {
    "url",
    "format",
    "options",
    "collector",
    "collector_options",
    "kind",
    "min_interval",
    "confidence",
    "reliability",
    "origin",
    "derived_from",
    "tlp",
    "tags",
}
"""Settings that a feed has from its entry."""


@cache
def list_entries() -> tuple[CatalogEntry, ...]:
    """All entries, by their slugs.

    Raises:
        InvalidInput: a file is no entry; the message names the file and the reason.
    """
    return tuple(read_entry(path) for path in sorted(FOLDER.glob("*.yaml")))


def read_entry(path: Path) -> CatalogEntry:
    """The entry in a file.

    Raises:
        InvalidInput: it is no entry.
    """
    try:
        return CatalogEntry.model_validate(
            {"slug": path.stem, **yaml.safe_load(path.read_text(encoding="utf-8"))}
        )
    except (ValidationError, yaml.YAMLError, TypeError) as error:
        raise InvalidInput(f"{path.name} is no entry of the catalog: {error}") from None


def address_interval(url: str) -> int:
    """Least seconds between two fetches of an address; 0 when no entry of the catalog names it."""
    return _address_intervals().get(url, 0)


@cache
def _address_intervals() -> dict[str, int]:
    intervals: dict[str, int] = {}
    for entry in list_entries():
        intervals[entry.url] = max(entry.min_interval, intervals.get(entry.url, 0))
    return intervals


def get_entry(slug: str) -> CatalogEntry:
    """The entry of a slug.

    Raises:
        NotFound: there is none; names those that come near.
    """
    entries = {entry.slug: entry for entry in list_entries()}
    if slug in entries:
        return entries[slug]
    near = get_close_matches(slug, entries, n=3)
    if not near:
        near = [name for name in entries if re.search(re.escape(slug), name)][:3]
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise NotFound(f"There is no feed {slug!r} in the catalog{hint}")


def subscribe(
    database: Database, principal: Principal, slug: str, subscription: CatalogSubscription
) -> Feed:
    """Subscribe to an entry of the catalog.

    Raises:
        NotFound: there is no such entry; names those that come near.
        InvalidInput: the provider requires credentials and none were given; the message tells
            where to get them.
    """
    entry = get_entry(slug)
    _check_available(entry, subscription.auth)
    changes = subscription.model_dump(exclude_unset=True, exclude={"name", "auth"})
    settings = {
        **entry.model_dump(include=_INHERITED),
        "every_seconds": entry.every_seconds,
        **changes,
    }
    feed = FeedCreate(name=subscription.name or slug, auth=subscription.auth, **settings)
    return subscriptions.create_feed(database, principal, feed, catalog=slug)


def _check_available(entry: CatalogEntry, auth: Auth | None) -> None:
    if entry.retired is not None:
        raise InvalidInput(f"{entry.title} is retired: {entry.retired}", field="slug")
    required = entry.auth
    if required is None or not required.required:
        return
    if auth is None or auth.kind != required.kind:
        raise InvalidInput(
            f"{entry.title} wants credentials of kind {required.kind}: {required.how}",
            field="auth",
        )

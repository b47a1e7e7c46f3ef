"""Feeds: create, change, delete, list."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from services.feeds import NAME
from services.feeds.collectors import credentials
from services.feeds.collectors.credentials import Auth
from services.feeds.collectors.registry import collector_named
from services.feeds.formats.registry import check_options, format_named
from services.feeds.quotas.limits import FEEDS
from services.feeds.subscriptions import repository
from services.feeds.subscriptions.models import Feed, FeedColumns
from services.feeds.subscriptions.schemas import FeedCreate, FeedPatch, FeedSettings
from shared.audit import changes_between
from shared.auth import Principal
from shared.crypto import Sealer
from shared.database import PUBLIC, Database
from shared.errors import Conflict, Forbidden, InvalidInput
from shared.http.guard import origin_of
from shared.kafka.outbox import audit
from shared.keys import keys_of
from shared.pagination import Page, decode_cursor
from shared.quotas import require_room
from shared.sealed_rows import reseal_rows
from shared.settings import Settings, load_settings
from shared.stix.markings import NOT_FOR_ALL_TENANTS


class FeedMoved(Conflict):
    """The feed is not at the revision any more that the caller has read."""

    code = "superseded"


_AUDITED = (*FeedSettings.model_fields, "auth", "secret", "catalog")
_REFETCHED: FeedColumns = {"cursor": {}}
_FETCH_SETTINGS = frozenset({"url", "collector", "collector_options", "format", "options"})


def create_feed(
    database: Database, principal: Principal, feed: FeedCreate, catalog: str | None = None
) -> Feed:
    """Add a feed; it is fetched at once if it has an address and a cadence.

    Args:
        database: the service's.
        principal: the feed becomes one of its tenant.
        feed: name, settings and credentials.
        catalog: slug of the catalog's entry it is made from.

    Raises:
        Conflict: the tenant has a feed of that name.
        QuotaExceeded: it has as many as it may have.
        InvalidInput: a setting is wrong; `field` names it.
    """
    values = cast("FeedColumns", {**feed.model_dump(exclude={"auth"}), "catalog": catalog})
    check_settings(values)
    feed_id = uuid4()
    _require_readers(principal, values)
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, FEEDS)
        created = repository.insert_feed(
            session,
            {**values, **_sealed(feed_id, feed.auth, feed.url)},
            tenant=principal.tenant,
            actor=principal.actor,
            feed_id=feed_id,
            is_due=bool(feed.url and feed.every_seconds),
        )
        _check_options(created, values)
        audit_feed(session, principal, "feeds.create", created, None, created)
    return created


def change_feed(database: Database, principal: Principal, feed_id: UUID, patch: FeedPatch) -> Feed:
    """Change a feed. A new cadence counts from now; another address is fetched from its beginning.

    Credentials are for the origin of the feed's address: an address of another origin needs them
    anew.

    Raises:
        NotFound: the tenant has no such feed of its own.
        InvalidInput: a setting is wrong; `field` names it.
    """
    values = cast("FeedColumns", patch.model_dump(exclude_unset=True, exclude={"auth"}))
    check_settings(values)
    _require_readers(principal, values)
    if values.keys() & _FETCH_SETTINGS:
        values = {**values, **_REFETCHED}
    is_due = "every_seconds" in values or "url" in values
    with database.transaction(principal.tenant) as session:
        before = repository.lock_own_feed(session, principal.tenant, feed_id)
        url = values.get("url", before.url)
        if "auth" in patch.model_fields_set:
            values = {**values, **_sealed(feed_id, patch.auth, url)}
        else:
            _require_same_origin(before, url)
        feed = repository.update_feed(session, principal.tenant, feed_id, values, is_due=is_due)
        _check_options(feed, values)
        audit_feed(session, principal, "feeds.update", feed, before, feed)
    return feed


def _require_same_origin(feed: Feed, url: str | None) -> None:
    if feed.secret is None or origin_of(feed.url) == origin_of(url):
        return
    raise InvalidInput(
        f"The credentials are for {origin_of(feed.url) or 'no address'} alone: give them again for "
        "the new address, or null to have none.",
        field="auth",
    )


def delete_feed(database: Database, principal: Principal, feed_id: UUID) -> None:
    """Remove a feed; its observables stay until they expire."""
    with database.transaction(principal.tenant) as session:
        feed = repository.lock_own_feed(session, principal.tenant, feed_id)
        repository.delete_feed(session, principal.tenant, feed_id)
        audit_feed(session, principal, "feeds.delete", feed, feed)


def get_feed(database: Database, tenant: str, feed_id: UUID) -> Feed:
    """A feed of the tenant, or a public one."""
    with database.transaction(tenant) as session:
        return repository.get_feed(session, feed_id)


def list_feeds(database: Database, tenant: str, after: str | None, limit: int) -> Page[Feed]:
    """A page of the tenant's feeds and the public ones."""
    place = decode_cursor(after, tuple[UUID])
    with database.transaction(tenant) as session:
        return repository.list_feeds(session, place[0] if place else None, limit)


# For the other rooms, within their transactions


def load_feed(session: Session, feed_id: UUID) -> Feed:
    """A feed of the session's tenant, or a public one.

    Raises:
        NotFound: there is none.
    """
    return repository.get_feed(session, feed_id)


def load_own_feed(session: Session, tenant: str, feed_id: UUID) -> Feed:
    """A feed that the tenant itself runs.

    Raises:
        NotFound: the tenant has no such feed of its own.
    """
    return repository.get_own_feed(session, tenant, feed_id)


def save_feed(session: Session, feed: Feed, values: FeedColumns) -> Feed:
    """Write columns of a feed; the feed as it stands then."""
    return repository.update_feed(session, feed.tenant, feed.id, values)


def lock_feed(session: Session, feed_id: UUID) -> Feed:
    """A feed, locked until the transaction ends.

    Raises:
        NotFound: there is none.
    """
    return repository.lock_feed(session, feed_id)


def move_feed(session: Session, feed: Feed, values: FeedColumns) -> Feed:
    """Write the progress of a run; the feed as it stands then.

    Raises:
        FeedMoved: another run, or a person, has changed what the run began with.
    """
    moved = repository.move_feed(session, feed, values)
    if moved is None:
        raise FeedMoved(f"{feed.name} was changed while this run was reading it.")
    return moved


def advance_moment(session: Session, feed: Feed) -> datetime:
    """The moment that the feed's next run speaks for: now, and later than those before it."""
    return repository.advance_moment(session, feed.id)


def postpone_check(session: Session, feed_id: UUID, days: int) -> None:
    """Let the feed's next check be due in so many days."""
    repository.postpone_check(session, feed_id, days)


def spread_checks(session: Session, days: int) -> None:
    """Give each feed that has none a time of its first check within so many days."""
    repository.spread_checks(session, days)


def ensure_feed(session: Session, principal: Principal, name: str, values: FeedColumns) -> Feed:
    """The tenant's feed of a name; made with some settings when there is none.

    Raises:
        Forbidden: it has other settings, or there is none, and the principal may not change feeds.
        Conflict: it has other settings.
    """
    feed = repository.lock_feed_by_name(session, principal.tenant, name)
    if feed is not None:
        if values and _is_open(principal, feed):
            # Nothing of it was read yet: its first upload was refused, and this settles why.
            changed = change_reading(session, feed, values)
            audit_feed(session, principal, "feeds.update", changed, feed, changed)
            return changed
        _require_same(principal, feed, values)
        return feed
    principal.require("feeds:write")
    # Reports and exports add to what is there; a list whose lines go has to say that it is one.
    defaults = cast("FeedColumns", FeedSettings.model_validate({"kind": "stream"}).model_dump())
    require_room(session, principal.tenant, FEEDS)
    feed = repository.insert_feed(
        session,
        {**defaults, **values, "name": name},
        tenant=principal.tenant,
        actor=principal.actor,
    )
    _check_options(feed, values)
    audit_feed(session, principal, "feeds.create", feed, None, feed)
    return feed


def ensure_feed_of_id(
    session: Session,
    tenant: str,
    feed_id: UUID,
    names: Sequence[str],
    values: FeedColumns,
    actor: str,
) -> Feed:
    """The tenant's feed with an id; made when there is none.

    Args:
        session: of the tenant.
        tenant: the feed's.
        feed_id: its id, derived from what it stands for.
        names: the first that no other feed has becomes its name.
        values: all settings of a feed that is made.
        actor: of whose doing it is made.

    Raises:
        Conflict: other feeds have all the names.
    """
    feed = repository.find_own_feed(session, tenant, feed_id)
    if feed is not None:
        return feed
    free = [name for name in names if not repository.lock_feed_by_name(session, tenant, name)]
    feed = repository.insert_feed(
        session,
        {**values, "name": (free or names)[0]},
        tenant=tenant,
        actor=actor,
        feed_id=feed_id,
    )
    changes = changes_between({}, _audited(feed))
    audit(session, NAME, tenant, actor, "feeds.create", feed.id, changes, name=feed.name)
    return feed


def require_upload(session: Session, principal: Principal, name: str, values: FeedColumns) -> None:
    """Require what `ensure_feed` requires, and change nothing.

    Raises:
        Forbidden, Conflict, QuotaExceeded: as `ensure_feed`.
    """
    feed = repository.lock_feed_by_name(session, principal.tenant, name)
    if feed is None:
        principal.require("feeds:write")
        require_room(session, principal.tenant, FEEDS)
    elif not _is_open(principal, feed):
        _require_same(principal, feed, values)


def _is_open(principal: Principal, feed: Feed) -> bool:
    """Whether an upload of a principal may settle how a feed is read: nothing of it was read."""
    return feed.url is None and feed.payload is None and principal.may("feeds:write")


def _require_same(principal: Principal, feed: Feed, values: FeedColumns) -> None:
    """Require that a feed has some settings already: what is uploaded to it changes none."""
    fields = sorted(name for name, value in values.items() if getattr(feed, name) != value)
    if not fields:
        return
    names = ", ".join(fields)
    if not principal.may("feeds:write"):
        raise Forbidden(
            f"{feed.name} has other settings ({names}); to change them needs feeds:write.",
            permission="feeds:write",
            fields=fields,
        )
    raise Conflict(
        f"{feed.name} has other settings ({names}); change the feed first, or leave them out.",
        fields=fields,
    )


def change_reading(session: Session, feed: Feed, values: FeedColumns) -> Feed:
    """Change how a feed is read; the feed as it stands then.

    Raises:
        InvalidInput: its format has no such option.
    """
    changed = save_feed(session, feed, values)
    _check_options(changed, values)
    return changed


def has_many_tenants(session: Session) -> bool:
    """Whether more than one tenant has feeds; the session is the platform's."""
    return repository.has_many_tenants(session)


def list_scheduled_feeds(session: Session, after: UUID | None, limit: int) -> list[Feed]:
    """Feeds that are fetched on a schedule, in the order of their ids."""
    return repository.list_scheduled_feeds(session, after, limit)


def list_snapshot_files(session: Session) -> set[str]:
    """The file of each feed's snapshot, as `<feed id>/<name>`."""
    return repository.list_snapshot_files(session)


def check_settings(values: FeedColumns) -> None:
    """Check what the schema cannot know.

    Raises:
        InvalidInput: there is no such format or collector, or nothing that a schedule could fetch.
    """
    format_ = values.get("format")
    if format_ is not None:
        format_named(format_)
    collector = values.get("collector")
    if collector is not None:
        collector_named(collector)
    if values.get("every_seconds") and "url" in values and not values["url"]:
        raise InvalidInput(
            "A feed without an address cannot be fetched on a schedule.", field="every_seconds"
        )


def audit_feed(  # who, what, and both states
    session: Session,
    principal: Principal,
    action: str,
    feed: Feed,
    before: Feed | None = None,
    after: Feed | None = None,
    /,
    **details: str,
) -> None:
    """Record what a principal does to a feed, with the settings that it changes."""
    changes = changes_between(_audited(before), _audited(after), {"secret"})
    actor = principal.actor
    details = {"name": feed.name, **details}
    audit(session, NAME, principal.tenant, actor, action, feed.id, changes, **details)


def _audited(feed: Feed | None) -> dict[str, Any]:
    return {} if feed is None else {name: getattr(feed, name) for name in _AUDITED}


def _require_readers(principal: Principal, values: FeedColumns) -> None:
    """Refuse a marking with which a public feed could be read by nobody."""
    level = values.get("tlp")
    if principal.tenant == PUBLIC and level in NOT_FOR_ALL_TENANTS:
        raise InvalidInput(
            f"All tenants read the feeds of {PUBLIC}, and TLP:{level.upper()} is for one alone:"
            " subscribe to it in that tenant.",
            field="tlp",
        )


def _check_options(feed: Feed, values: FeedColumns) -> None:
    """Check options that were set: what is wrong leaves nothing behind.

    Raises:
        InvalidInput: the feed's format, or any if it has none yet, has no such option.
    """
    if values.get("options"):
        check_options(feed.format, feed.options)


def unseal_credentials(feed: Feed, settings: Settings) -> Auth | None:
    """A feed's credentials as they were given.

    Raises:
        UnsealError: they were sealed under another key, or for another origin.
    """
    if feed.auth is None or feed.secret is None:
        return None
    sealer = Sealer(keys_of(settings), credentials.PURPOSE)
    return credentials.unseal(feed.auth, feed.secret, sealer, str(feed.id), feed.url)


def reseal_credentials(database: Database) -> int:
    """Seal credentials under the present key, if a former one has sealed them; how many."""
    sealer = Sealer(keys_of(load_settings()), credentials.PURPOSE)
    return reseal_rows(database, sealer, repository.CREDENTIALS)


def _sealed(feed_id: UUID, auth: Auth | None, url: str | None) -> FeedColumns:
    """Credentials as they are stored: the public part, and the rest sealed."""
    if auth is None:
        return {"auth": None, "secret": None}
    sealer = Sealer(keys_of(load_settings()), credentials.PURPOSE)
    public, secret = credentials.seal(auth, sealer, str(feed_id), url)
    return {"auth": public, "secret": secret}

"""Consumers of a tenant: created, changed, revoked, deleted; what they have."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from services.observables import NAME as SERVICE
from services.observables.dissemination.consumers import repository, tokens
from services.observables.dissemination.consumers.models import ConsumerRow, PollRow
from services.observables.dissemination.consumers.schemas import (
    ConsumerCreate,
    ConsumerIssued,
    ConsumerPatch,
    ConsumerView,
    Holders,
    HolderView,
    PollView,
)
from services.observables.dissemination.lists.news import list_event
from services.observables.list_formats.base import FileAccount, ListVersion, Row
from services.observables.list_formats.registry import list_formats
from services.observables.quotas.limits import LIST_CONSUMERS
from shared.audit import changes_between
from shared.database import PLATFORM, Database
from shared.errors import InvalidInput, NotFound
from shared.events.observables import ListNews
from shared.kafka.outbox import audit, publish
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.stix import NotAnObservable, detect, observable_uuid

_NO_LIST: Final = UUID(int=0)


def list_consumers(
    database: Database, tenant: str, after: str | None, limit: int
) -> Page[ConsumerView]:
    """A page of a tenant's consumers, by name."""
    key = decode_cursor(after, tuple[str])
    start = key[0] if key else None
    with database.transaction(tenant) as session:
        rows = paginate(
            repository.page(session, tenant, start, limit + 1), limit, lambda row: (row.name,)
        )
        polls = _polls(session, tenant, rows.items)
    return rows.map(lambda row: ConsumerView(**_shown(row, polls[row.id])))


def get_consumer(database: Database, tenant: str, consumer: UUID) -> ConsumerView:
    """A consumer.

    Raises:
        NotFound: the tenant has no such consumer.
    """
    with database.transaction(tenant) as session:
        row = repository.get(session, consumer)
        if row is None or row.tenant != tenant:
            raise _not_found(consumer)
        return ConsumerView(**_shown(row, _polls(session, tenant, [row])[consumer]))


def create_consumer(
    database: Database, tenant: str, actor: str, body: ConsumerCreate
) -> ConsumerIssued:
    """Create a consumer, with a token that is shown this once.

    Raises:
        InvalidInput: a list does not exist, or a network is none.
        Conflict: the tenant has a consumer of that name.
        QuotaExceeded: the tenant has as many as it may have.
    """
    consumer_id = uuid4()
    issued = tokens.issue(consumer_id)
    values = {
        **body.model_dump(),
        "networks": _networks(body.networks),
        "tenant": tenant,
        "id": consumer_id,
        "created_by": actor,
        "token_digest": issued.digest,
    }
    with database.transaction(tenant) as session:
        require_room(session, tenant, LIST_CONSUMERS)
        names = _require_lists(session, tenant, body.list_ids)
        row = repository.add(session, values)
        changes = changes_between({}, _audited(row))
        audit(session, SERVICE, tenant, actor, "consumers.create", row.id, changes, name=row.name)
    return _issued(row, issued.token, names)


def change_consumer(
    database: Database, tenant: str, actor: str, consumer: UUID, patch: ConsumerPatch
) -> ConsumerView:
    """Change a consumer; its token stays.

    Raises:
        NotFound: the tenant has no such consumer.
        InvalidInput, Conflict: as for `create_consumer`.
    """
    values = {
        name: value
        for name, value in patch.model_dump(exclude_unset=True).items()
        if value is not None
    }
    if "networks" in values:
        values["networks"] = _networks(values["networks"])
    with database.transaction(tenant) as session:
        if "list_ids" in values:
            _require_lists(session, tenant, values["list_ids"])
        before = repository.lock(session, tenant, consumer)
        if before is None:
            raise _not_found(consumer)
        row = repository.change(session, tenant, consumer, values) if values else before
        row = row or before
        changes = changes_between(_audited(before), _audited(row))
        audit(session, SERVICE, tenant, actor, "consumers.change", consumer, changes)
        return ConsumerView(**_shown(row, _polls(session, tenant, [row])[consumer]))


def renew_token(database: Database, tenant: str, actor: str, consumer: UUID) -> ConsumerIssued:
    """Give a consumer another token; the one before is valid no more.

    Raises:
        NotFound: the tenant has no such consumer.
    """
    issued = tokens.issue(consumer)
    with database.transaction(tenant) as session:
        values = {"token_digest": issued.digest, "revoked_at": None, "silent_since": None}
        row = repository.change(session, tenant, consumer, values)
        if row is None:
            raise _not_found(consumer)
        names = repository.list_names(session, tenant, row.list_ids)
        audit(session, SERVICE, tenant, actor, "consumers.renew", consumer)
    return _issued(row, issued.token, names)


def revoke_token(database: Database, tenant: str, actor: str, consumer: UUID) -> ConsumerView:
    """Refuse a consumer's token from now on.

    Raises:
        NotFound: the tenant has no such consumer.
    """
    with database.transaction(tenant) as session:
        row = repository.revoke(session, tenant, consumer)
        if row is None:
            raise _not_found(consumer)
        audit(session, SERVICE, tenant, actor, "consumers.revoke", consumer)
        return ConsumerView(**_shown(row, _polls(session, tenant, [row])[consumer]))


def delete_consumer(database: Database, tenant: str, actor: str, consumer: UUID) -> None:
    """Delete a consumer.

    Raises:
        NotFound: the tenant has no such consumer.
    """
    with database.transaction(tenant) as session:
        before = repository.lock(session, tenant, consumer)
        if before is None or not repository.delete(session, tenant, consumer):
            raise _not_found(consumer)
        changes = changes_between(_audited(before), {})
        audit(session, SERVICE, tenant, actor, "consumers.delete", consumer, changes)


def holders(database: Database, tenant: str, value: str) -> Holders:
    """The consumers that still have a value, by what they fetched last.

    Raises:
        InvalidInput: the value is no observable.
    """
    try:
        observable = detect(value)
    except NotAnObservable as error:
        raise InvalidInput(f"This is no observable: {error}", field="value") from None
    uuid = UUID(bytes=observable_uuid(observable.type, observable.value))
    with database.transaction(tenant) as session:
        rows = repository.holders(session, tenant, uuid)
        options = repository.format_options(session, {row.list_id for row in rows})
    entry = (observable.type, observable.value, 0, 1, datetime.now(UTC), uuid)
    items = [
        _holder(row)
        for row in rows
        if _says(row, entry, options.get(row.list_id, {}).get(row.format, {}))
    ]
    return Holders(value=observable.value, type=observable.type, holders=items)


def watch_consumers(database: Database) -> int:
    """Tell of consumers that stopped polling, and of those that poll again; how many there are."""
    with database.transaction(PLATFORM) as session:
        silent = repository.mark_silent(session)
        resumed = repository.mark_resumed(session)
        news = [("silent", each) for each in silent] + [("resumed", each) for each in resumed]
        events = [
            list_event(
                each.tenant,
                ListNews(
                    "silent" if kind == "silent" else "resumed",
                    _NO_LIST,
                    consumer_id=each.id,
                    consumer=each.name,
                    polled_at=each.polled_at.isoformat() if each.polled_at else "",
                ),
            )
            for kind, each in news
        ]
        publish(session, events)
    return len(events)


def _says(poll: PollRow, entry: Row, options: Mapping[str, str]) -> bool:
    """Whether the file of a poll said an entry: what its format leaves out reached nobody.

    The format decides, which writes a file of this entry alone.
    """
    list_format = list_formats().get(poll.format)
    if list_format is None:
        return True
    if list_format.types and entry[0] not in list_format.types:
        return False
    version = ListVersion(poll.list_id, poll.list_name, poll.number, poll.polled_at, options)
    account = FileAccount()
    for _ in list_format.write([[entry]], version, account):
        pass
    return account.entries > 0


def _holder(row: PollRow) -> HolderView:
    return HolderView(
        consumer_id=row.consumer_id,
        consumer=row.consumer,
        list_id=row.list_id,
        list=row.list_name,
        format=row.format,
        version=row.number,
        polled_at=row.polled_at,
    )


def _polls(
    session: Session, tenant: str, rows: Sequence[ConsumerRow]
) -> dict[UUID, list[PollView]]:
    polls: dict[UUID, list[PollView]] = defaultdict(list)
    for row in repository.polls(session, tenant, [row.id for row in rows]):
        polls[row.consumer_id].append(
            PollView(
                list_id=row.list_id,
                list=row.list_name,
                format=row.format,
                polled_at=row.polled_at,
                version=row.number,
                published_version=row.published_number,
                entries=row.entries,
                lag_seconds=row.lag_seconds,
                address=row.address,
                agent=row.agent,
            )
        )
    return polls


def _require_lists(session: Session, tenant: str, list_ids: Sequence[UUID]) -> list[str]:
    names = repository.list_names(session, tenant, list_ids)
    for place, list_id in enumerate(list_ids):
        if list_id not in names:
            raise InvalidInput(f"There is no list {list_id}.", field=f"list_ids.{place}")
    return sorted(names.values())


def _networks(texts: Sequence[str]) -> list[str]:
    networks = []
    for place, text in enumerate(texts):
        try:
            networks.append(str(ip_network(text.strip(), strict=False)))
        except ValueError:
            raise InvalidInput(f"{text!r} is no network.", field=f"networks.{place}") from None
    return networks


def _issued(row: ConsumerRow, token: str, names: dict[UUID, str] | list[str]) -> ConsumerIssued:
    own = sorted(names.values()) if isinstance(names, dict) else names
    addresses = [f"/lists/{token}/{name}.plain" for name in own]
    return ConsumerIssued(**_shown(row, []), token=token, addresses=addresses)


def _shown(row: ConsumerRow, polls: Sequence[PollView]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in _FIELDS}
    return {**values, "polls": list(polls)}


_FIELDS: Final = tuple(name for name in ConsumerRow._fields if name in ConsumerView.model_fields)


def _audited(row: ConsumerRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "list_ids": [str(each) for each in row.list_ids],
        "networks": row.networks,
        "silent_after_seconds": row.silent_after_seconds,
    }


def _not_found(consumer: UUID) -> NotFound:
    return NotFound(f"There is no consumer {consumer} in this tenant.")

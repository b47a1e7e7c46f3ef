"""Channels: create, change, test and delete them; their targets for deliveries.

Functions with a `Database` run one transaction of the principal's tenant. Functions with a
`Session` serve the other rooms within their transactions.
"""

import asyncio
import time
from base64 import b64encode
from collections.abc import Collection
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, Final
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.channel_types import (
    ChannelType,
    Notification,
    channel_type_named,
    channel_types,
)
from services.notifications.channel_types.attempt import attempt, channel_client
from services.notifications.channel_types.base import CredentialedChannel
from services.notifications.channels import repository
from services.notifications.channels.credentials import credentials_text, refuse_useless_secret
from services.notifications.channels.patches import apply_patch, validated
from services.notifications.channels.repository import Channel, receiver_of
from services.notifications.channels.schemas import (
    ChannelCreate,
    ChannelCreated,
    ChannelPatch,
    ChannelView,
    SampleOutcome,
)
from services.notifications.pauses.service import forget_channel
from services.notifications.quotas.limits import CHANNELS
from shared.audit import changes_between
from shared.auth import Principal
from shared.crypto import Sealer
from shared.database import Database
from shared.errors import Conflict, InvalidInput, NotFound
from shared.http.guard import Allowance
from shared.http.outbound import outbound_of
from shared.kafka.outbox import audit
from shared.keys import CHANNEL_SECRETS, keys_of
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room
from shared.sealed_rows import reseal_rows
from shared.settings import Settings, load_settings

__all__ = [
    "SECRETS",
    "Channel",
    "change_channel",
    "channel_sealer",
    "channels_to",
    "create_channel",
    "delete_channel",
    "destination_of",
    "disable_channel",
    "enabled_channel_names",
    "find_channels",
    "get_channel",
    "list_channels",
    "off_channels",
    "open_secret",
    "require_channels",
    "reseal_secrets",
    "test_channel",
    "unsubscribe_channel",
]

SECRETS: Final = CHANNEL_SECRETS
"""The purpose for which channels' secrets are sealed."""
_SECRET_FIELDS: Final = frozenset({"secret", "credentials"})
_AUDITED: Final = ("name", "kind", "config", "secret", "enabled", "max_tlp")


def channel_sealer(settings: Settings) -> Sealer:
    """The sealer of channels' secrets."""
    return Sealer(keys_of(settings), SECRETS)


def open_secret(channel: Channel, sealer: Sealer) -> str | None:
    """A channel's signing secret.

    Raises:
        UnsealError: it was sealed under another key, or for another receiver.
    """
    if not channel.secret:
        return None
    return sealer.open_at(channel.secret, str(channel.id), receiver_of(channel.config))


def reseal_secrets(database: Database) -> int:
    """Seal secrets under the present key, if a former one has sealed them; how many."""
    sealer = channel_sealer(load_settings())
    return reseal_rows(database, sealer, repository.CHANNEL_SECRET)


# For the API


def list_channels(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[ChannelView]:
    """Channels by name."""
    position = decode_cursor(after, tuple[str, UUID])
    with database.transaction(principal.tenant) as session:
        channels = repository.list_by_name(session, position, limit + 1)
    page = paginate(channels, limit, lambda channel: (channel.name, channel.id))
    return page.map(ChannelView.model_validate)


def get_channel(database: Database, principal: Principal, channel_id: UUID) -> ChannelView:
    """A channel.

    Raises:
        NotFound: the tenant has no such channel.
    """
    with database.transaction(principal.tenant) as session:
        return ChannelView.model_validate(_get(session, channel_id))


def create_channel(
    database: Database, settings: Settings, principal: Principal, body: ChannelCreate
) -> ChannelCreated:
    """Create a channel.

    Raises:
        InvalidInput: its configuration cannot work; `field` names the part of it.
        Conflict: the tenant has a channel of that name.
        QuotaExceeded: it has as many as it may have.
    """
    kind = channel_type_named(body.kind)
    config = _checked_config(kind, body.config, outbound_of(settings, principal.tenant))
    refuse_useless_secret(kind, body.secret, body.credentials)
    allow = outbound_of(settings, principal.tenant)
    credentials = asyncio.run(credentials_text(kind, body.credentials, allow))
    secret = body.secret
    if secret is None and kind.signs:
        secret = f"whsec_{b64encode(token_bytes(32)).decode()}"
    channel_id = uuid7()
    sealed = None
    if text := secret or credentials:
        sealed = channel_sealer(settings).seal_at(text, str(channel_id), receiver_of(config))
    values = {
        "id": channel_id,
        "tenant": principal.tenant,
        "name": body.name,
        "kind": body.kind,
        "config": config,
        "secret": sealed,
        "enabled": body.enabled,
        "max_tlp": body.max_tlp,
    }
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, CHANNELS)
        channel = repository.insert(session, values)
        _audit(session, principal, "create", channel, after=channel)
    return ChannelCreated(**ChannelView.model_validate(channel).model_dump(), secret=secret)


def change_channel(
    database: Database,
    settings: Settings,
    principal: Principal,
    channel_id: UUID,
    body: ChannelPatch,
) -> ChannelView:
    """Change a channel. Switching it on clears the reason why the platform had switched it off.

    Raises:
        NotFound: the tenant has no such channel.
        InvalidInput, Conflict: see `create_channel`.
    """
    config = None
    credentials = None
    if body.config is not None or body.credentials is not None:
        # It may resolve a name, which takes its time: not while the channel is locked.
        with database.transaction(principal.tenant) as session:
            kind = channel_type_named(_get(session, channel_id).kind)
        allow = outbound_of(settings, principal.tenant)
        if body.config is not None:
            config = _checked_config(kind, body.config, allow)
        if body.credentials is not None:
            refuse_useless_secret(kind, body.secret, body.credentials)
            credentials = asyncio.run(credentials_text(kind, body.credentials, allow))
    with database.transaction(principal.tenant) as session:
        channel = _get(session, channel_id, lock=True)
        patched = apply_patch(ChannelCreate, channel, body, without=_SECRET_FIELDS)
        refuse_useless_secret(channel_type_named(channel.kind), patched.secret, None)
        values: dict[str, Any] = {
            name: getattr(patched, name) for name in ("name", "enabled", "max_tlp")
        }
        if config is not None:
            values["config"] = config
        origin = receiver_of(values.get("config", channel.config))
        if text := patched.secret or credentials:
            sealer = channel_sealer(settings)
            values["secret"] = sealer.seal_at(text, str(channel.id), origin)
        elif channel.secret and origin != receiver_of(channel.config):
            receiver = receiver_of(channel.config)
            raise InvalidInput(
                f"The secret is for {receiver} alone: give one for the new address.",
                field="credentials" if _has_credentials(channel) else "secret",
            )
        if patched.enabled:
            values["disabled_reason"] = None
        before = channel
        channel = repository.update(session, channel, values)
        _audit(session, principal, "update", channel, before=before, after=channel)
    return ChannelView.model_validate(channel)


def unsubscribe_channel(database: Database, principal: Principal, channel_id: UUID) -> None:
    """Switch a channel off at its receiver's request; repeated, it changes nothing.

    Raises:
        NotFound: the tenant has no such channel.
    """
    with database.transaction(principal.tenant) as session:
        before = _get(session, channel_id, lock=True)
        if not before.enabled:
            return
        repository.disable(session, channel_id, "Its receiver has unsubscribed.")
        _audit(
            session,
            principal,
            "unsubscribe",
            before,
            before=before,
            after=_get(session, channel_id),
        )


def delete_channel(database: Database, principal: Principal, channel_id: UUID) -> None:
    """Delete a channel that no rule uses.

    Raises:
        NotFound: the tenant has no such channel.
        Conflict: rules use it; the message names them.
    """
    with database.transaction(principal.tenant) as session:
        channel = _get(session, channel_id, lock=True)
        if users := repository.names_of_users(session, channel_id):
            names = ", ".join(users[:5])
            raise Conflict(
                f"{len(users)} rule(s) or digest(s) notify through this channel: {names}. Change"
                " them first."
            )
        _audit(session, principal, "delete", channel, before=channel)
        repository.delete(session, channel)
        forget_channel(session, channel_id)


def test_channel(
    database: Database, settings: Settings, principal: Principal, channel_id: UUID
) -> SampleOutcome:
    """Send a sample notification now. It is no delivery; the audit alone tells of it.

    Raises:
        NotFound: the tenant has no such channel.
    """
    with database.transaction(principal.tenant) as session:
        channel = _get(session, channel_id)
        _audit(session, principal, "test", channel)
    secret = open_secret(channel, channel_sealer(settings))
    return asyncio.run(_send_sample(channel, secret, _sample(principal, settings), settings))


async def _send_sample(
    channel: Channel, secret: str | None, sample: Notification, settings: Settings
) -> SampleOutcome:
    kind = channel_type_named(channel.kind)
    started = time.perf_counter()
    async with channel_client(outbound_of(settings, channel.tenant)) as outbound:
        result = await attempt(kind, channel.config, secret, sample, outbound)
    return SampleOutcome(
        state="failed" if result.error else "delivered",
        response_status=result.status,
        error=result.error.as_dict() if result.error else None,
        milliseconds=round((time.perf_counter() - started) * 1000),
    )


def _sample(principal: Principal, settings: Settings) -> Notification:
    match = {
        "id": "ipv4-addr--sample",
        "type": "ipv4-addr",
        "value": "192.0.2.1",
        "kind": "new",
        "score": 90,
    }
    return Notification(
        id=uuid7(),
        tenant=principal.tenant,
        rule_id=UUID(int=0),
        rule="Sample",
        source="sample",
        match_count=1,
        matches=[match],
        created_at=datetime.now(UTC),
        url=f"{settings.service_url('notifications')}/docs",
    )


def _get(session: Session, channel_id: UUID, *, lock: bool = False) -> Channel:
    channel = repository.find(session, channel_id, lock=lock)
    if channel is None:
        raise NotFound(f"There is no channel {channel_id}.")
    return channel


def _checked_config(
    kind: ChannelType[Any], config: dict[str, Any], allow: tuple[Allowance, ...]
) -> dict[str, Any]:
    """The configuration as it is stored, once it is valid and its target is allowed."""
    valid = validated(kind.config, config, "config")
    asyncio.run(kind.check(valid, allow))
    return dict(valid.model_dump(mode="json"))


def _has_credentials(channel: Channel) -> bool:
    return isinstance(channel_types().get(channel.kind), CredentialedChannel)


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    channel: Channel,
    before: Channel | None = None,
    after: Channel | None = None,
) -> None:
    changes = changes_between(_audited(before), _audited(after), {"secret"})
    details = {"fields": ", ".join(changes)} if before and after else {}
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.channel.{verb}",
        channel.id,
        changes,
        name=channel.name,
        **details,
    )


def _audited(channel: Channel | None) -> dict[str, Any]:
    return {} if channel is None else {name: getattr(channel, name) for name in _AUDITED}


# For other rooms


def enabled_channel_names(session: Session) -> dict[UUID, str]:
    """The names, by id, of all tenants' enabled channels."""
    return repository.enabled_names(session)


def require_channels(session: Session, channel_ids: Collection[UUID]) -> None:
    """Require that the tenant has some channels, and keep them until the transaction ends.

    Raises:
        InvalidInput: a channel does not exist.
    """
    missing = set(channel_ids) - repository.lock_existing(session, channel_ids)
    if missing:
        raise InvalidInput(f"There is no channel {min(missing)}.", field="channel_ids")


def keep_channel(session: Session, channel_id: UUID) -> None:
    """Keep a channel of the tenant until the transaction ends.

    Raises:
        NotFound: the tenant has no such channel.
    """
    if not repository.lock_existing(session, [channel_id]):
        raise NotFound(f"There is no channel {channel_id}.")


def find_channels(session: Session, channel_ids: Collection[UUID]) -> dict[UUID, Channel]:
    """Those of some channels that exist, by their ids."""
    return repository.find_many(session, channel_ids)


def destination_of(channel: Channel) -> str:
    """The receiver of a channel: the origin of its address; empty if its kind has none."""
    return receiver_of(channel.config)


def channels_to(session: Session, tenant: str, destinations: Collection[str]) -> set[UUID]:
    """A tenant's channels to some receivers."""
    configs = repository.list_configs(session, tenant)
    return {name for name, config in configs.items() if receiver_of(config) in destinations}


def off_channels(session: Session, tenant: str) -> set[UUID]:
    """A tenant's channels that are switched off: their deliveries wait."""
    return repository.list_off(session, tenant)


def disable_channel(session: Session, channel_id: UUID, reason: str) -> None:
    """Switch a channel off on behalf of the platform."""
    repository.disable(session, channel_id, reason)

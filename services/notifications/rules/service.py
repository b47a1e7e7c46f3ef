"""What the API does: channels, rules and the ledger of deliveries, each call one transaction of one tenant."""

import asyncio
import time
from base64 import b64encode
from datetime import UTC, datetime
from secrets import token_bytes
from typing import Any, TypeVar
from uuid import UUID

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from services.notifications.channel_types import ChannelKind, Notification, kind_named
from services.notifications.deliveries import repository
from services.notifications.deliveries.attempt import attempt, client
from services.notifications.deliveries.dispatcher import SECRETS
from services.notifications.deliveries.models import Channel, Delivery, Rule, new_id
from services.notifications.deliveries.wakeup import wake
from services.notifications.rules.schemas import (
    ChannelCreate,
    ChannelCreated,
    ChannelPatch,
    ChannelView,
    DeliveryDetail,
    DeliveryView,
    Page,
    RuleCreate,
    RulePatch,
    RuleView,
    SampleOutcome,
)
from shared.auth import Principal
from shared.crypto import Sealer
from shared.database import PLATFORM, Database
from shared.errors import Conflict, InvalidInput
from shared.kafka.outbox import audit
from shared.settings import Settings

Body = TypeVar("Body", bound=BaseModel)


class Notifications:
    """The service behind the API.

    Args:
        database: the service's.
        settings: this process's.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings
        self._sealer = Sealer(settings.secret_key, SECRETS)

    def create_channel(self, who: Principal, body: ChannelCreate) -> ChannelCreated:
        """Make a channel; the only answer that shows its secret.

        Raises:
            InvalidInput: its configuration cannot work; names the field.
            Conflict: the name is taken.
        """
        kind = kind_named(body.kind)
        config = self._checked(kind, body.config)
        secret = (
            (body.secret or f"whsec_{b64encode(token_bytes(32)).decode()}") if kind.signs else None
        )
        _no_idle_secret(kind, body.secret)
        row = Channel(id=new_id(), tenant=who.tenant, name=body.name, kind=body.kind, config=config)
        row.enabled, row.secret = (
            body.enabled,
            self._sealer.seal(secret, str(row.id)) if secret else None,
        )
        with self._database.transaction(who.tenant) as session:
            repository.save(session, row)
            _audit(session, who, "channel.create", row)
            return ChannelCreated(**ChannelView.model_validate(row).model_dump(), secret=secret)

    def change_channel(self, who: Principal, channel_id: UUID, body: ChannelPatch) -> ChannelView:
        """Change a channel; switching it on forgets why the platform had switched it off.

        Raises:
            NotFound, InvalidInput, Conflict: as for `create_channel`.
        """
        with self._database.transaction(who.tenant) as session:
            row = repository.get(session, Channel, channel_id, lock=True)
            new = _merged(ChannelCreate, row, body)
            kind = kind_named(row.kind)
            _no_idle_secret(kind, new.secret)
            row.name, row.enabled = new.name, new.enabled
            if body.config is not None:
                row.config = self._checked(kind, new.config)
            if new.secret is not None:
                row.secret = self._sealer.seal(new.secret, str(row.id))
            if row.enabled:
                row.disabled_reason = None
            repository.save(session, row)
            _audit(
                session, who, "channel.update", row, fields=", ".join(sorted(body.model_fields_set))
            )
            return ChannelView.model_validate(row)

    def delete_channel(self, who: Principal, channel_id: UUID) -> None:
        """Delete a channel that no rule uses.

        Raises:
            NotFound: there is none.
            Conflict: rules use it; names them.
        """
        with self._database.transaction(who.tenant) as session:
            row = repository.get(session, Channel, channel_id, lock=True)
            if rules := repository.rules_using(session, channel_id):
                names = ", ".join(rules[:5])
                raise Conflict(
                    f"{len(rules)} rule(s) notify through this channel: {names}. Change them first."
                )
            _audit(session, who, "channel.delete", row)
            repository.delete(session, row)

    def test_channel(self, who: Principal, channel_id: UUID) -> SampleOutcome:
        """Send a sample the way notifications go; it is no delivery, and changes nothing.

        Raises:
            NotFound: there is none.
        """
        with self._database.transaction(who.tenant) as session:
            row = repository.get(session, Channel, channel_id)
        kind = kind_named(row.kind)
        secret = self._sealer.open(row.secret, str(row.id)) if row.secret else None
        started = time.perf_counter()

        async def send() -> SampleOutcome:
            async with client(self._settings.outbound_allow) as outbound:
                outcome = await attempt(kind, row.config, secret, self._sample(who), outbound)
            return SampleOutcome(
                state="failed" if outcome.error else "delivered",
                response_status=outcome.status,
                error=outcome.error.as_dict() if outcome.error else None,
                milliseconds=round((time.perf_counter() - started) * 1000),
            )

        return asyncio.run(send())

    def create_rule(self, who: Principal, body: RuleCreate) -> RuleView:
        """Make a rule.

        Raises:
            InvalidInput: a channel does not exist.
            Conflict: the name is taken.
        """
        with self._database.transaction(who.tenant) as session:
            row = Rule(id=new_id(), tenant=who.tenant)
            _fill(session, row, body)
            _audit(session, who, "rule.create", row)
            return RuleView.model_validate(row)

    def change_rule(self, who: Principal, rule_id: UUID, body: RulePatch) -> RuleView:
        """Change a rule; events from now on are matched by the new one.

        Raises:
            NotFound, InvalidInput, Conflict: as for `create_rule`.
        """
        with self._database.transaction(who.tenant) as session:
            row = repository.get(session, Rule, rule_id, lock=True)
            _fill(session, row, _merged(RuleCreate, row, body))
            _audit(
                session, who, "rule.update", row, fields=", ".join(sorted(body.model_fields_set))
            )
            return RuleView.model_validate(row)

    def delete_rule(self, who: Principal, rule_id: UUID) -> None:
        """Delete a rule; what it has matched is still delivered.

        Raises:
            NotFound: there is none.
        """
        with self._database.transaction(who.tenant) as session:
            row = repository.get(session, Rule, rule_id, lock=True)
            _audit(session, who, "rule.delete", row)
            repository.delete(session, row)

    def get_channel(self, who: Principal, channel_id: UUID) -> ChannelView:
        """A channel, without its secret."""
        with self._database.transaction(who.tenant) as session:
            return ChannelView.model_validate(repository.get(session, Channel, channel_id))

    def get_rule(self, who: Principal, rule_id: UUID) -> RuleView:
        """A rule."""
        with self._database.transaction(who.tenant) as session:
            return RuleView.model_validate(repository.get(session, Rule, rule_id))

    def get_delivery(self, who: Principal, delivery_id: UUID) -> DeliveryDetail:
        """A delivery with all its matches."""
        with self._database.transaction(who.tenant) as session:
            return DeliveryDetail.model_validate(repository.get(session, Delivery, delivery_id))

    def list_channels(self, who: Principal, limit: int, after: str | None) -> Page[ChannelView]:
        """Channels by name."""
        with self._database.transaction(who.tenant) as session:
            items = [
                ChannelView.model_validate(row)
                for row in repository.by_name(session, Channel, limit, after)
            ]
        return Page(items=items, next=items[-1].name if len(items) == limit else None)

    def list_rules(self, who: Principal, limit: int, after: str | None) -> Page[RuleView]:
        """Rules by name."""
        with self._database.transaction(who.tenant) as session:
            items = [
                RuleView.model_validate(row)
                for row in repository.by_name(session, Rule, limit, after)
            ]
        return Page(items=items, next=items[-1].name if len(items) == limit else None)

    def list_deliveries(
        self,
        who: Principal,
        limit: int,
        after: UUID | None,
        *,
        state: str | None,
        rule_id: UUID | None,
    ) -> Page[DeliveryView]:
        """The ledger, newest first."""
        with self._database.transaction(who.tenant) as session:
            rows = repository.newest_deliveries(session, limit, after, state, rule_id)
            items = [DeliveryView.model_validate(row) for row in rows]
        return Page(items=items, next=str(items[-1].id) if len(items) == limit else None)

    def retry_delivery(self, who: Principal, delivery_id: UUID) -> DeliveryView:
        """Try a failed or waiting delivery again now, with all its attempts, under its own id.

        Raises:
            NotFound: there is none.
            Conflict: it was delivered, or is being delivered.
        """
        with self._database.transaction(who.tenant) as session:
            row = repository.get(session, Delivery, delivery_id, lock=True)
            if row.state not in ("failed", "pending"):
                raise Conflict(
                    f"This delivery is {row.state}; only a failed or waiting one can be tried again."
                )
            row.state, row.attempts, row.finished_at = "pending", 0, None
            row.next_attempt_at = datetime.now(UTC)
            session.flush()
            _audit(session, who, "delivery.retry", row)
            view = DeliveryView.model_validate(row)
        wake(who.actor)
        return view

    def reconcile(self, who: Principal) -> int:
        """Wake the deliverer if anything is due; the number of deliveries that are."""
        with self._database.transaction(PLATFORM) as session:
            due = repository.due_count(session)
        if due:
            wake(who.actor)
        return due

    def _checked(self, kind: ChannelKind[Any], config: dict[str, Any]) -> dict[str, Any]:
        valid = _valid(kind.config, config, "body.config")
        asyncio.run(kind.check(valid, self._settings.outbound_allow))
        return dict(valid.model_dump(mode="json"))

    def _sample(self, who: Principal) -> Notification:
        sample = {
            "id": "ipv4-addr--sample",
            "type": "ipv4-addr",
            "value": "192.0.2.1",
            "kind": "new",
            "score": 90,
        }
        return Notification(
            id=new_id(),
            tenant=who.tenant,
            rule_id=UUID(int=0),
            rule="Sample",
            source="sample",
            match_count=1,
            matches=[sample],
            created_at=datetime.now(UTC),
            url=f"{self._settings.service_url('notifications')}/docs",
        )


def _fill(session: Session, row: Rule, body: RuleCreate) -> None:
    channel_ids = list(dict.fromkeys(body.channel_ids))
    if unknown := repository.unknown_channels(session, channel_ids):
        raise InvalidInput(f"There is no channel {min(unknown)}.", field="body.channel_ids")
    for name, value in body.model_dump(mode="json", exclude={"channel_ids"}).items():
        setattr(row, name, value)
    row.channel_ids = channel_ids
    repository.save(session, row)


def _merged(model: type[Body], row: Channel | Rule, patch: BaseModel) -> Body:
    """A row with a patch applied, as valid as if it were made anew."""
    now = {name: getattr(row, name) for name in model.model_fields if name != "secret"}
    return _valid(model, now | patch.model_dump(exclude_unset=True), "body")


def _valid(model: type[Body], values: dict[str, Any], place: str) -> Body:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(map(str, (place, *first["loc"])))
        raise InvalidInput(f"{field}: {first['msg']}", field=field) from None


def _no_idle_secret(kind: ChannelKind[Any], secret: str | None) -> None:
    if secret is not None and not kind.signs:
        raise InvalidInput(
            f"A channel of kind {kind.name} signs nothing and has no secret.", field="body.secret"
        )


def _audit(
    session: Session, who: Principal, action: str, row: Channel | Rule | Delivery, **details: str
) -> None:
    name = {} if isinstance(row, Delivery) else {"name": row.name}
    audit(
        session,
        "notifications",
        who.tenant,
        who.actor,
        f"notifications.{action}",
        row.id,
        **name,
        **details,
    )

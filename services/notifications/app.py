"""The HTTP API of notifications."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, FastAPI, Query, Request

from services.notifications.rules.schemas import (
    ChannelCreate,
    ChannelCreated,
    ChannelPatch,
    ChannelView,
    DeliveryDetail,
    DeliveryState,
    DeliveryView,
    Page,
    Reconciled,
    RuleCreate,
    RulePatch,
    RuleView,
    SampleOutcome,
)
from services.notifications.rules.service import Notifications
from shared.auth import Principal
from shared.database import Database
from shared.settings import Settings
from shared.web.app import create_api, require_permission

Reader = Annotated[Principal, require_permission("notifications:read")]
Writer = Annotated[Principal, require_permission("notifications:write")]
Operator = Annotated[Principal, require_permission("platform:reconcile")]
Limit = Annotated[int, Query(ge=1, le=1000)]
NameCursor = Annotated[str | None, Query(max_length=100, description="`next` of the page before.")]


def _service(request: Request) -> Notifications:
    return Notifications(request.app.state.database, request.app.state.settings)


Service = Annotated[Notifications, Depends(_service)]

channels = APIRouter(prefix="/v1/channels", tags=["channels"])
rules = APIRouter(prefix="/v1/rules", tags=["rules"])
deliveries = APIRouter(prefix="/v1", tags=["deliveries"])


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The app."""
    return create_api(
        "notifications", "Notifications", [channels, rules, deliveries], settings, database
    )


@channels.get("")
def list_channels(
    who: Reader, service: Service, limit: Limit = 100, after: NameCursor = None
) -> Page[ChannelView]:
    """Channels by name."""
    return service.list_channels(who, limit, after)


@channels.post("", status_code=201)
def create_channel(who: Writer, service: Service, body: ChannelCreate) -> ChannelCreated:
    """Make a channel. Its signing secret is in this answer and in no other."""
    return service.create_channel(who, body)


@channels.get("/{channel_id}")
def get_channel(who: Reader, service: Service, channel_id: UUID) -> ChannelView:
    """One channel."""
    return service.get_channel(who, channel_id)


@channels.patch("/{channel_id}")
def change_channel(
    who: Writer, service: Service, channel_id: UUID, body: ChannelPatch
) -> ChannelView:
    """Change a channel."""
    return service.change_channel(who, channel_id, body)


@channels.delete("/{channel_id}", status_code=204)
def delete_channel(who: Writer, service: Service, channel_id: UUID) -> None:
    """Delete a channel that no rule uses."""
    service.delete_channel(who, channel_id)


@channels.post("/{channel_id}/test")
def test_channel(who: Writer, service: Service, channel_id: UUID) -> SampleOutcome:
    """Send a sample through a channel now and say what became of it."""
    return service.test_channel(who, channel_id)


@rules.get("")
def list_rules(
    who: Reader, service: Service, limit: Limit = 100, after: NameCursor = None
) -> Page[RuleView]:
    """Rules by name."""
    return service.list_rules(who, limit, after)


@rules.post("", status_code=201)
def create_rule(who: Writer, service: Service, body: RuleCreate) -> RuleView:
    """Make a rule."""
    return service.create_rule(who, body)


@rules.get("/{rule_id}")
def get_rule(who: Reader, service: Service, rule_id: UUID) -> RuleView:
    """One rule."""
    return service.get_rule(who, rule_id)


@rules.patch("/{rule_id}")
def change_rule(who: Writer, service: Service, rule_id: UUID, body: RulePatch) -> RuleView:
    """Change a rule."""
    return service.change_rule(who, rule_id, body)


@rules.delete("/{rule_id}", status_code=204)
def delete_rule(who: Writer, service: Service, rule_id: UUID) -> None:
    """Delete a rule; what it has matched is still delivered."""
    service.delete_rule(who, rule_id)


@deliveries.get("/deliveries")
def list_deliveries(
    who: Reader,
    service: Service,
    state: DeliveryState | None = None,
    rule_id: UUID | None = None,
    limit: Limit = 100,
    after: UUID | None = None,
) -> Page[DeliveryView]:
    """The ledger, newest first."""
    return service.list_deliveries(who, limit, after, state=state, rule_id=rule_id)


@deliveries.get("/deliveries/{delivery_id}")
def get_delivery(who: Reader, service: Service, delivery_id: UUID) -> DeliveryDetail:
    """One delivery with all its matches."""
    return service.get_delivery(who, delivery_id)


@deliveries.post("/deliveries/{delivery_id}/retry", status_code=202)
def retry_delivery(who: Writer, service: Service, delivery_id: UUID) -> DeliveryView:
    """Try a failed or waiting delivery again now."""
    return service.retry_delivery(who, delivery_id)


@deliveries.post("/reconcile")
def reconcile(who: Operator, service: Service) -> Reconciled:
    """Enqueue again what the queue lost."""
    return Reconciled(enqueued=service.reconcile(who))

"""The templates of rules: store and try them for the API, hand them to deliveries."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from services.notifications.templates import repository
from services.notifications.templates.rendering import sample_of, write_text
from services.notifications.templates.repository import StoredTemplate
from services.notifications.templates.schemas import (
    TemplateBody,
    TemplatePreview,
    TemplateTrial,
    TemplateView,
)
from shared.audit import changes_between
from shared.auth import Principal
from shared.database import Database
from shared.errors import NotFound
from shared.kafka.outbox import audit


def get_template(database: Database, principal: Principal, rule_id: UUID) -> TemplateView:
    """The template of a rule.

    Raises:
        NotFound: it has none, or the tenant has no such rule.
    """
    with database.transaction(principal.tenant) as session:
        stored = _get(session, rule_id)
        sample = sample_of(_topic(session, rule_id))
    return _view(stored, write_text(stored.text, sample))


def set_template(
    database: Database, principal: Principal, rule_id: UUID, body: TemplateBody
) -> TemplateView:
    """Set the template of a rule, once it has written a sample of what the rule tells.

    Raises:
        NotFound: the tenant has no such rule.
        InvalidInput: the template cannot be used; `line` is the place.
    """
    with database.transaction(principal.tenant) as session:
        topic = _topic(session, rule_id)
    # Out of the transaction, since it may take seconds; a rule's topic rarely changes meanwhile.
    preview = write_text(body.text, sample_of(topic))
    with database.transaction(principal.tenant) as session:
        _topic(session, rule_id)
        before = repository.find(session, rule_id)
        values = {"rule_id": rule_id, "tenant": principal.tenant, "text": body.text}
        stored = repository.put(session, values)
        _audit(session, principal, "set", rule_id, before, stored)
    return _view(stored, preview)


def delete_template(database: Database, principal: Principal, rule_id: UUID) -> None:
    """Remove the template of a rule: its messages have the channels' own words again.

    Raises:
        NotFound: it has none, or the tenant has no such rule.
    """
    with database.transaction(principal.tenant) as session:
        before = _get(session, rule_id)
        repository.delete(session, rule_id)
        _audit(session, principal, "delete", rule_id, before, None)


def preview_template(body: TemplateTrial) -> TemplatePreview:
    """What a template writes of a sample.

    Raises:
        InvalidInput: it cannot be used; `line` is the place.
    """
    return TemplatePreview(preview=write_text(body.text, sample_of(body.topic)))


def templates_of(session: Session, rule_ids: Collection[UUID]) -> dict[UUID, str]:
    """The templates of those of some rules that have one."""
    return repository.texts_of(session, rule_ids)


def _view(stored: StoredTemplate, preview: str) -> TemplateView:
    return TemplateView(
        rule_id=stored.rule_id,
        text=stored.text,
        preview=preview,
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def _topic(session: Session, rule_id: UUID) -> str:
    topic = repository.keep_rule(session, rule_id)
    if topic is None:
        raise NotFound(f"There is no rule {rule_id}.")
    return topic


def _get(session: Session, rule_id: UUID) -> StoredTemplate:
    stored = repository.find(session, rule_id)
    if stored is None:
        raise NotFound(f"The rule {rule_id} has no template.")
    return stored


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    rule_id: UUID,
    before: StoredTemplate | None,
    after: StoredTemplate | None,
) -> None:
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.template.{verb}",
        rule_id,
        changes_between(_audited(before), _audited(after)),
    )


def _audited(stored: StoredTemplate | None) -> dict[str, Any]:
    return {} if stored is None else {"text": stored.text}

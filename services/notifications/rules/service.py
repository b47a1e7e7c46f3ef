"""Rules: create, change and delete them, each call in one transaction of the principal's tenant."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from services.notifications.channels.patches import apply_patch
from services.notifications.channels.service import require_channels
from services.notifications.digests.service import require_digest
from services.notifications.quotas.limits import RULES
from services.notifications.rules import repository
from services.notifications.rules.expression import parse_rule_filter
from services.notifications.rules.repository import Rule
from services.notifications.rules.schemas import RuleCreate, RulePatch, RuleView
from services.notifications.watchlists.service import require_watchlists
from shared.audit import changes_between
from shared.auth import Principal
from shared.database import Database
from shared.errors import NotFound
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor, paginate
from shared.quotas import require_room


def list_rules(
    database: Database, principal: Principal, after: str | None, limit: int
) -> Page[RuleView]:
    """Rules by name."""
    position = decode_cursor(after, tuple[str, UUID])
    with database.transaction(principal.tenant) as session:
        rules = repository.list_by_name(session, position, limit + 1)
    page = paginate(rules, limit, lambda rule: (rule.name, rule.id))
    return page.map(RuleView.model_validate)


def get_rule(database: Database, principal: Principal, rule_id: UUID) -> RuleView:
    """A rule.

    Raises:
        NotFound: the tenant has no such rule.
    """
    with database.transaction(principal.tenant) as session:
        return RuleView.model_validate(_get(session, rule_id))


def create_rule(database: Database, principal: Principal, body: RuleCreate) -> RuleView:
    """Create a rule.

    Raises:
        InvalidInput: a channel does not exist, or the filter cannot be used.
        Conflict: the tenant has a rule of that name.
        QuotaExceeded: it has as many as it may have.
    """
    with database.transaction(principal.tenant) as session:
        require_room(session, principal.tenant, RULES)
        values = checked_values(session, body)
        rule = repository.insert(session, {"id": uuid7(), "tenant": principal.tenant, **values})
        _audit(session, principal, "create", rule, after=rule)
    return RuleView.model_validate(rule)


def change_rule(
    database: Database, principal: Principal, rule_id: UUID, body: RulePatch
) -> RuleView:
    """Change a rule. It applies to events that are handled from now on.

    Raises:
        NotFound: the tenant has no such rule.
        InvalidInput, Conflict: see `create_rule`.
    """
    with database.transaction(principal.tenant) as session:
        rule = _get(session, rule_id, lock=True)
        values = checked_values(session, apply_patch(RuleCreate, rule, body))
        before = rule
        rule = repository.update(session, rule, values)
        _audit(session, principal, "update", rule, before=before, after=rule)
    return RuleView.model_validate(rule)


def delete_rule(database: Database, principal: Principal, rule_id: UUID) -> None:
    """Delete a rule. What it has matched is still delivered.

    Raises:
        NotFound: the tenant has no such rule.
    """
    with database.transaction(principal.tenant) as session:
        rule = _get(session, rule_id, lock=True)
        _audit(session, principal, "delete", rule, before=rule)
        repository.delete(session, rule)


def stored_rule(session: Session, rule_id: UUID) -> Rule:
    """A rule of the transaction's tenant.

    Raises:
        NotFound: the tenant has no such rule.
    """
    return _get(session, rule_id)


def _get(session: Session, rule_id: UUID, *, lock: bool = False) -> Rule:
    rule = repository.find(session, rule_id, lock=lock)
    if rule is None:
        raise NotFound(f"There is no rule {rule_id}.")
    return rule


def checked_values(session: Session, body: RuleCreate) -> dict[str, Any]:
    """The columns of a rule, once its channels exist; they are named once each."""
    if body.filter:
        require_watchlists(session, parse_rule_filter(body.filter, body.topic).watchlists)
    channel_ids = list(dict.fromkeys(body.channel_ids))
    next_ids = {each for step in body.escalation for each in step.channel_ids}
    require_channels(session, {*channel_ids, *next_ids})
    if body.digest_id is not None:
        require_digest(session, body.digest_id)
    values = body.model_dump(mode="json", exclude={"channel_ids", "digest_id"})
    return {**values, "channel_ids": channel_ids, "digest_id": body.digest_id}


def _audit(
    session: Session,
    principal: Principal,
    verb: str,
    rule: Rule,
    before: Rule | None = None,
    after: Rule | None = None,
) -> None:
    changes = changes_between(_audited(before), _audited(after))
    details = {"fields": ", ".join(changes)} if before and after else {}
    audit(
        session,
        "notifications",
        principal.tenant,
        principal.actor,
        f"notifications.rule.{verb}",
        rule.id,
        changes,
        name=rule.name,
        **details,
    )


def _audited(rule: Rule | None) -> dict[str, Any]:
    if rule is None:
        return {}
    values = {name: getattr(rule, name) for name in RuleCreate.model_fields}
    return {**values, "digest_id": str(rule.digest_id) if rule.digest_id else None}

"""What the mitre service does with its rows: ask for loads, look up, search."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

import sqlalchemy as sa

from services.mitre.imports import repository as import_repository
from services.mitre.imports.domains import DOMAINS
from services.mitre.imports.files import Files
from services.mitre.imports.loader import tell_again
from services.mitre.releases import repository as release_repository
from services.mitre.techniques import repository as technique_repository
from services.mitre.worker import celery
from shared.auth import Principal
from shared.database import PUBLIC, Database
from shared.errors import InvalidInput, NotFound, Unavailable
from shared.kafka.outbox import audit
from shared.runtime.celery import enqueue
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

LOAD_RELEASE: Final = "mitre.tasks.load_release"


def request_load(database: Database, who: Principal, wanted: dict[str, Any]) -> dict[str, Any]:
    """Ask for a bundle from an address, or from the source of its domain."""
    with database.transaction(PUBLIC) as session:
        import_repository.ensure_sources(session)
        refresh = wanted["url"] is None
        url = (
            import_repository.get_source(session, wanted["domain"]).url
            if refresh
            else wanted["url"]
        )
        values = {
            **wanted,
            "id": uuid4(),
            "url": url,
            "refresh": refresh,
            "name": wanted["domain"] or "address",
        }
        row = import_repository.insert_load(session, {**values, "requested_by": who.actor})
        audit(session, "mitre", PUBLIC, who.actor, "mitre.load", row.id, name=row.name)
    _enqueue(row.id, who.actor)
    return _dict(row)


def request_upload(
    database: Database, who: Principal, load_id: UUID, path: str, wanted: dict[str, Any]
) -> dict[str, Any]:
    """Ask for a bundle that has been received already."""
    with database.transaction(PUBLIC) as session:
        values = {
            **wanted,
            "id": load_id,
            "path": path,
            "refresh": False,
            "requested_by": who.actor,
        }
        row = import_repository.insert_load(session, values)
        audit(session, "mitre", PUBLIC, who.actor, "mitre.upload", row.id, name=row.name)
    _enqueue(row.id, who.actor)
    return _dict(row)


def get_load(database: Database, tenant: str, load_id: UUID) -> dict[str, Any]:
    """One load."""
    with database.transaction(tenant) as session:
        return _dict(import_repository.get_load(session, load_id))


def list_loads(
    database: Database, tenant: str, before: datetime | None, limit: int
) -> dict[str, Any]:
    """Loads, newest first."""
    with database.transaction(tenant) as session:
        rows = import_repository.list_loads(session, before, limit)
    items = [_dict(row) for row in rows]
    return {"items": items, "next": items[-1]["created_at"] if len(items) == limit else None}


def list_sources(database: Database, tenant: str) -> list[dict[str, Any]]:
    """Where each domain is fetched; as the project ships it, where nobody has said otherwise."""
    with database.transaction(tenant) as session:
        known = {row.domain: _dict(row) for row in import_repository.list_sources(session)}
    return [
        known.get(name, {**asdict(domain), "domain": name, "checked_at": None})
        for name, domain in DOMAINS.items()
    ]


def update_source(
    database: Database, who: Principal, domain: str, values: dict[str, Any]
) -> dict[str, Any]:
    """Change where a domain is fetched, or whether it is kept fresh."""
    if not values:
        raise InvalidInput("Say what shall be different: url, enabled, or both.")
    # What the old address said of its answer says nothing of the new one's.
    forget = {"etag": None, "last_modified": None} if "url" in values else {}
    with database.transaction(PUBLIC) as session:
        import_repository.ensure_sources(session)
        row = import_repository.update_source(session, domain, {**values, **forget})
        audit(session, "mitre", PUBLIC, who.actor, "mitre.source", domain)
    return _dict(row)


def refresh(database: Database, settings: Settings, actor: str) -> dict[str, Any]:
    """Ask for a fresh bundle of every enabled source that none is under way for; tell again what was told with less."""
    with database.transaction(PUBLIC) as session:
        tell_again(session)
        import_repository.ensure_sources(session)
        under_way = import_repository.open_loads(session)
        busy = {row.domain for row in under_way if row.refresh}
        rows = [
            import_repository.insert_load(
                session,
                {
                    "id": uuid4(),
                    "domain": source.domain,
                    "name": source.domain,
                    "url": source.url,
                    "refresh": True,
                    "activate": False,
                    "requested_by": actor,
                },
            )
            for source in import_repository.list_sources(session)
            if source.enabled and source.domain not in busy
        ]
    for row in rows:
        _enqueue(row.id, actor)
    swept = Files(settings.data_dir).sweep({row.id for row in under_way})
    return {"status": "ok", "started": len(rows), "swept": swept}


def reconcile(database: Database) -> int:
    """Enqueue again the loads that the queue or a worker lost; how many."""
    with database.transaction(PUBLIC) as session:
        lost = import_repository.lost_loads(session)
    for load_id in lost:
        enqueue(celery, LOAD_RELEASE, str(load_id), tenant=PUBLIC)
    return len(lost)


def list_releases(database: Database, tenant: str, domain: str | None) -> dict[str, Any]:
    """All releases; there are a handful a year."""
    with database.transaction(tenant) as session:
        return {
            "items": [_dict(row) for row in release_repository.list_releases(session, domain)],
            "next": None,
        }


def get_release(database: Database, tenant: str, domain: str, version: str) -> dict[str, Any]:
    """One release, its newest revision."""
    with database.transaction(tenant) as session:
        return _dict(release_repository.get_release(session, domain, version))


def get_technique(
    database: Database, tenant: str, attack_id: str, domain: str | None, version: str | None
) -> dict[str, Any]:
    """One technique, in the current release or in a version.

    Raises:
        NotFound: there is none.
    """
    with database.transaction(tenant) as session:
        row = technique_repository.find(session, attack_id, domain, version)
    if row is None:
        place = " ".join(part for part in (domain or "any domain", version) if part)
        raise NotFound(f"There is no technique {attack_id} in {place} here.")
    return _dict(row)


def search_techniques(
    database: Database, tenant: str, text: str | None, filters: dict[str, str | None], **paging: Any
) -> dict[str, Any]:
    """Current techniques by text, tactic, platform, domain or parent."""
    limit, after = paging["limit"], _position(paging["after"])
    if text is not None and after is not None:
        raise InvalidInput(
            "A text search gives its best matches at once: ask with a higher limit.", field="after"
        )
    with database.transaction(tenant) as session:
        rows = technique_repository.search(
            session,
            text=text,
            filters=filters,
            inactive=paging["inactive"],
            after=after,
            limit=limit,
        )
    items = [_dict(row) for row in rows]
    more = text is None and len(items) == limit
    return {
        "items": items,
        "next": f"{items[-1]['attack_id']},{items[-1]['domain']}" if more else None,
    }


def _position(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    attack_id, comma, domain = cursor.partition(",")
    if not comma or domain not in DOMAINS:
        raise InvalidInput("This is not a cursor that a page before gave as next.", field="after")
    return attack_id, domain


def _dict(row: sa.Row[Any]) -> dict[str, Any]:
    return dict(row._mapping)  # noqa: SLF001  # the underscore keeps it apart from column names; it is public


def _enqueue(load_id: UUID, actor: str) -> None:
    try:
        enqueue(celery, LOAD_RELEASE, str(load_id), tenant=PUBLIC, actor=actor)
    except Unavailable as error:
        log.warning("load.waiting", load=str(load_id), reason=error.message)

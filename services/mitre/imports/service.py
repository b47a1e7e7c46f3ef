"""Imports: ask for them, list them, and do the chores around them."""

from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from services.mitre import NAME
from services.mitre.imports import repository
from services.mitre.imports.files import BundleFiles
from services.mitre.imports.models import AttackImport, DomainSource, NewImport
from services.mitre.imports.schemas import ImportCreate, SourcePatch
from services.mitre.releases.domains import DOMAINS
from services.mitre.releases.service import publish_outdated_cards
from services.mitre.worker import celery
from shared.audit import changes_between
from shared.auth import Principal
from shared.database import PUBLIC, Database
from shared.errors import InvalidInput, Unavailable
from shared.kafka.outbox import audit
from shared.pagination import Page, decode_cursor
from shared.runtime.celery import send_hint
from shared.settings import Settings
from shared.telemetry.logging import get_logger

log = get_logger(__name__)

LOAD_RELEASE: Final = "mitre.tasks.load_release"


class RefreshCounts(NamedTuple):
    """New imports, and files of crashed imports that were removed."""

    started: int
    swept: int


def request_import(database: Database, principal: Principal, request: ImportCreate) -> AttackImport:
    """Ask for a bundle from an address, or from the source of its domain."""
    with database.transaction(PUBLIC) as session:
        repository.ensure_sources(session)
        url = request.url
        if url is None and request.domain is not None:
            url = repository.get_source(session, request.domain).url
        new = NewImport(
            id=uuid4(),
            name=request.domain or "address",
            requested_by=principal.actor,
            domain=request.domain,
            version=request.version,
            url=url,
            refresh=request.url is None,
            activate=request.activate,
        )
        item = repository.insert_import(session, new)
        audit(session, NAME, PUBLIC, principal.actor, "mitre.load", item.id, name=item.name)
    _enqueue(item.id, principal.actor)
    return item


def request_upload(database: Database, principal: Principal, new: NewImport) -> AttackImport:
    """Ask for a bundle that has been received already."""
    with database.transaction(PUBLIC) as session:
        item = repository.insert_import(session, new)
        audit(session, NAME, PUBLIC, principal.actor, "mitre.upload", item.id, name=item.name)
    _enqueue(item.id, principal.actor)
    return item


def get_import(database: Database, tenant: str, import_id: UUID) -> AttackImport:
    """One import."""
    with database.transaction(tenant) as session:
        return repository.get_import(session, import_id)


def list_imports(
    database: Database, tenant: str, before: datetime | None, after: str | None, limit: int
) -> Page[AttackImport]:
    """A page of imports, newest first.

    Args:
        database: the service's.
        tenant: reads.
        before: only those that were requested before this time.
        after: the cursor of the page before.
        limit: most imports.
    """
    place = decode_cursor(after, tuple[datetime, UUID])
    with database.transaction(tenant) as session:
        return repository.list_imports(session, before=before, after=place, limit=limit)


def list_sources(database: Database, tenant: str) -> list[DomainSource]:
    """The source of each domain; that of the project where it was not changed."""
    with database.transaction(tenant) as session:
        stored = {source.domain: source for source in repository.list_sources(session)}
    return [
        stored.get(domain.name, DomainSource(domain.name, domain.url, domain.enabled))
        for domain in DOMAINS.values()
    ]


def change_source(
    database: Database, principal: Principal, domain: str, patch: SourcePatch
) -> DomainSource:
    """Change where a domain is fetched, or whether it is refreshed."""
    if patch.url is None and patch.enabled is None:
        raise InvalidInput("Say what shall be different: url, enabled, or both.")
    with database.transaction(PUBLIC) as session:
        repository.ensure_sources(session)
        before = repository.get_source(session, domain)
        source = repository.update_source(session, domain, url=patch.url, enabled=patch.enabled)
        changes = changes_between(_audited(before), _audited(source))
        audit(session, NAME, PUBLIC, principal.actor, "mitre.source", domain, changes)
    return source


def _audited(source: DomainSource) -> dict[str, object]:
    return {"url": source.url, "enabled": source.enabled}


def refresh(database: Database, settings: Settings, actor: str) -> RefreshCounts:
    """Ask for a fresh bundle of every enabled source, except where an import is under way.

    Cards that an older version published with less content are published again.
    """
    with database.transaction(PUBLIC) as session:
        publish_outdated_cards(session)
        repository.ensure_sources(session)
        open_imports = repository.list_open_imports(session)
        busy = {item.domain for item in open_imports if item.refresh}
        started = [
            repository.insert_import(
                session,
                NewImport(
                    id=uuid4(),
                    name=source.domain,
                    requested_by=actor,
                    domain=source.domain,
                    url=source.url,
                    refresh=True,
                ),
            )
            for source in repository.list_sources(session)
            if source.enabled and source.domain not in busy
        ]
    for item in started:
        _enqueue(item.id, actor)
    swept = BundleFiles(settings.data_dir).sweep({item.id for item in open_imports})
    return RefreshCounts(started=len(started), swept=swept)


def reconcile(database: Database) -> int:
    """Enqueue again the imports that the queue or a worker lost; how many."""
    with database.transaction(PUBLIC) as session:
        repository.give_up_imports(session)
        lost = repository.list_lost_imports(session)
    return sum(_enqueue(import_id, "system") for import_id in lost)


def _enqueue(import_id: UUID, actor: str) -> bool:
    """Send an import to a worker unless its message is still unread; whether it was sent.

    If the queue does not take it, the sweep sends it again.
    """
    try:
        return send_hint(celery, LOAD_RELEASE, str(import_id), tenant=PUBLIC, actor=actor)
    except Unavailable as error:
        log.warning("load.enqueue_failed", load=str(import_id), reason=error.message)
        return False

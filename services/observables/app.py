"""The observables API: the routes of all rooms."""

import re
from typing import Final

from fastapi import FastAPI

from services.observables import NAME
from services.observables.dissemination.consumers import polling
from services.observables.dissemination.consumers.api import router as consumers_router
from services.observables.dissemination.consumers.polls import Polls
from services.observables.dissemination.lists.api import router as lists_router
from services.observables.enrichment.api import router as enrichment_router
from services.observables.evidence.api import router as evidence_router
from services.observables.lookup.api import STRUCTS, fast_path
from services.observables.lookup.api import router as lookup_router
from services.observables.lookup.batching import Lookups
from services.observables.pushes.api import router as pushes_router
from services.observables.quotas.limits import QUOTAS
from services.observables.reference.api import router as reference_router
from services.observables.reports.api import router as reports_router
from services.observables.reports.extraction_pool import ExtractionPool
from services.observables.sightings.api import router as sightings_router
from services.observables.source_values.api import router as source_values_router
from services.observables.store.api import router as store_router
from services.observables.taxii.api import router as collections_router
from services.observables.taxii.protocol_api import router as taxii_router
from services.observables.taxii.protocol_errors import DIALECT
from services.observables.trends.api import router as trends_router
from shared.database import Database
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.dialects import speak_dialects
from shared.web.quotas import offer_quotas
from shared.web.request_body import MAX_BODY_BYTES, RequestBodies
from shared.web.struct_schemas import add_struct_schemas

ROUTERS = [
    lookup_router,
    reports_router,
    sightings_router,
    trends_router,
    reference_router,
    store_router,
    evidence_router,
    source_values_router,
    lists_router,
    consumers_router,
    polling.router,
    enrichment_router,
    collections_router,
    pushes_router,
    taxii_router,
    audit.router,
    quotas.router,
    tokens.router,
    outbox.router,
    consumers.router,
]

_LISTS = ("/v1/lookup", "/v1/sightings", "/v1/relations", "/v1/enrichments")
_BODY_LIMITS = dict.fromkeys(_LISTS, MAX_BODY_BYTES)
"""Routes that take lists of many values."""
_POSTS: Final = re.compile(r"/taxii2/[^/]+/collections/[^/]+/objects/?")


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The observables service's API."""
    lookups = Lookups(database)
    app = create_api(
        NAME,
        "observables",
        ROUTERS,
        settings,
        database,
        bodies=RequestBodies(_BODY_LIMITS, uploads=["/v1/extract"], upload_pattern=_POSTS),
        fast_paths=[fast_path(lookups)],
        own_access=[polling.PREFIX],
    )
    add_struct_schemas(app, STRUCTS)
    offer_quotas(app, QUOTAS)
    app.state.polls = Polls(database)
    speak_dialects(app, [DIALECT])
    app.state.lookups = lookups
    app.state.data_dates = lookups.data_dates
    app.state.extraction_pool = ExtractionPool()
    return app

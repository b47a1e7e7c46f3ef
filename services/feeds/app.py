"""The feeds API, composed of the rooms' routers."""

from fastapi import FastAPI

from services.feeds import NAME
from services.feeds.catalog import api as catalog
from services.feeds.payloads.store import PayloadStore
from services.feeds.previews import api as previews
from services.feeds.quotas.limits import QUOTAS
from services.feeds.runs import api as runs
from services.feeds.subscriptions import api as subscriptions
from shared.database import Database
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.quotas import offer_quotas
from shared.web.request_body import RequestBodies


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The feeds service's API."""
    routers = [
        subscriptions.router,
        runs.router,
        catalog.router,
        previews.router,
        audit.router,
        quotas.router,
        tokens.router,
        outbox.router,
        consumers.router,
    ]
    bodies = RequestBodies(uploads=["/v1/ingest", "/v1/preview/document"])
    app = create_api(NAME, NAME, routers, settings, database, bodies=bodies)
    offer_quotas(app, QUOTAS)
    app.state.payloads = PayloadStore(settings.data_dir)
    return app

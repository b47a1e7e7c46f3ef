"""The gateway's HTTP API, composed of the rooms' routers."""

from fastapi import FastAPI

from services.gateway import NAME
from services.gateway.quotas.limits import QUOTAS
from shared.database import Database
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.quotas import offer_quotas


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The gateway's API."""
    routers = [
        audit.router,
        quotas.router,
        tokens.router,
        consumers.router,
        outbox.router,
    ]
    app = create_api(NAME, "gateway", routers, settings, database)
    offer_quotas(app, QUOTAS)
    return app

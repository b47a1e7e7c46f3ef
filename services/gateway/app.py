"""The gateway's HTTP API, composed of the rooms' routers, behind the edge."""

from fastapi import FastAPI

from services.gateway import NAME
from services.gateway.console.app import add_console
from services.gateway.quotas.limits import QUOTAS
from services.gateway.routing.access import TokenGate
from services.gateway.routing.edge import add_edge
from services.gateway.routing.production import check_production, tls_files
from shared.database import Database
from shared.keys import keys_of
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.quotas import offer_quotas


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The gateway's API.

    Raises:
        InvalidInput: production mode, and no TLS.
    """
    check_production(settings)
    routers = [
        audit.router,
        quotas.router,
        tokens.router,
        consumers.router,
        outbox.router,
    ]
    app = create_api(NAME, "gateway", routers, settings, database)
    offer_quotas(app, QUOTAS)
    app.state.tls_files = tls_files(settings)
    add_console(app, settings)
    add_edge(app, settings, TokenGate(keys_of(settings)))
    return app

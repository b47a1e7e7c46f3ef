"""The gateway's HTTP API, composed of the rooms' routers, behind the edge."""

from fastapi import FastAPI

from services.gateway import NAME
from services.gateway.access.gate import IdentityGate
from services.gateway.api_keys import api as api_keys
from services.gateway.console.app import add_console
from services.gateway.credentials import api as credentials
from services.gateway.manual.app import add_manual
from services.gateway.people import api as people
from services.gateway.providers import api as providers
from services.gateway.quotas.limits import QUOTAS
from services.gateway.routing.edge import add_edge
from services.gateway.routing.production import check_production, tls_files
from services.gateway.sessions import api as sessions
from services.gateway.sign_in import api as sign_in
from services.gateway.tokens import api as access_tokens
from shared.database import Database
from shared.keys import keys_of
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.authentication import open_paths
from shared.web.quotas import offer_quotas


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The gateway's API.

    Raises:
        InvalidInput: production mode, and no TLS.
    """
    check_production(settings)
    routers = [
        sign_in.router,
        sessions.router,
        people.router,
        credentials.router,
        api_keys.router,
        providers.router,
        access_tokens.router,
        audit.router,
        quotas.router,
        tokens.router,
        consumers.router,
        outbox.router,
    ]
    app = create_api(NAME, "gateway", routers, settings, database)
    ways_in = sign_in.OPEN_PATHS | providers.OPEN_PATHS
    open_paths(app, ways_in | {access_tokens.KEYS_PATH})
    offer_quotas(app, QUOTAS)
    app.state.tls_files = tls_files(settings)
    add_console(app, settings, database)
    add_manual(app)
    gate = IdentityGate(
        keys_of(settings), database, settings.service_url(NAME), app.state.token_registry
    )
    add_edge(app, settings, gate)
    return app

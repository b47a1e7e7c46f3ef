"""The mitre API, composed of the rooms' routers."""

from fastapi import FastAPI

from services.mitre import NAME
from services.mitre.imports import api as imports
from services.mitre.imports.files import BundleFiles
from services.mitre.releases import api as releases
from services.mitre.techniques import api as techniques
from shared.database import Database
from shared.settings import Settings
from shared.web import audit, consumers, outbox, tokens
from shared.web.app import create_api
from shared.web.request_body import RequestBodies


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The mitre service's API."""
    # The techniques' router first: it has a path that the releases' would take for a version.
    routers = [
        imports.router,
        techniques.router,
        releases.router,
        audit.router,
        tokens.router,
        consumers.router,
        outbox.router,
    ]
    bodies = RequestBodies(uploads=["/v1/loads/upload"])
    app = create_api(NAME, "ATT&CK", routers, settings, database, bodies=bodies)
    app.state.files = BundleFiles(settings.data_dir)
    return app

"""The scheduler's HTTP API."""

from fastapi import FastAPI

from services.scheduler import NAME
from services.scheduler.beat import api as beat
from services.scheduler.quotas.limits import QUOTAS
from services.scheduler.schedules import api as schedules
from shared.database import Database
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.quotas import offer_quotas


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The app, composed of the rooms' routers."""
    app = create_api(
        NAME,
        "scheduler",
        [
            schedules.router,
            beat.router,
            audit.router,
            quotas.router,
            tokens.router,
            consumers.router,
            outbox.router,
        ],
        settings,
        database,
    )
    offer_quotas(app, QUOTAS)
    return app

"""The HTTP API of notifications."""

from fastapi import FastAPI

from services.notifications import NAME
from services.notifications.channels import api as channels
from services.notifications.deliveries import api as deliveries
from services.notifications.digests import api as digests
from services.notifications.groups import api as groups
from services.notifications.inbox import api as inbox
from services.notifications.inhibitions import api as inhibitions
from services.notifications.links import api as links
from services.notifications.quiet_hours import api as quiet_hours
from services.notifications.quotas.limits import QUOTAS
from services.notifications.rules import api as rules
from services.notifications.signed_links import PATH
from services.notifications.silences import api as silences
from services.notifications.templates import api as templates
from services.notifications.watchlists import api as watchlists
from shared.database import Database
from shared.settings import Settings
from shared.web import audit, consumers, outbox, quotas, tokens
from shared.web.app import create_api
from shared.web.quotas import offer_quotas


def create_app(settings: Settings, database: Database) -> FastAPI:
    """The app, composed of the rooms' routers."""
    routers = [
        channels.router,
        rules.router,
        templates.router,
        deliveries.router,
        groups.router,
        silences.router,
        inhibitions.router,
        digests.router,
        watchlists.router,
        quiet_hours.router,
        links.router,
        inbox.router,
        audit.router,
        quotas.router,
        tokens.router,
        consumers.router,
        outbox.router,
    ]
    app = create_api(NAME, "Notifications", routers, settings, database, own_access=[PATH])
    offer_quotas(app, QUOTAS)
    return app

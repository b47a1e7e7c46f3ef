"""Acts of readers: the signature of an address is the permission, for one act alone."""

from services.notifications.channels.service import unsubscribe_channel
from services.notifications.groups.service import acknowledge_group
from services.notifications.signed_links import SignedLink, read_link
from shared.auth import Principal, Role
from shared.clock import database_now
from shared.database import PLATFORM, Database
from shared.keys import keys_of
from shared.settings import Settings


def open_link(database: Database, settings: Settings, token: str) -> SignedLink:
    """The link of a token, which changes nothing.

    Raises:
        Unauthenticated: the token was not signed here, was changed, or has ended.
    """
    with database.transaction(PLATFORM) as session:
        moment = database_now(session)
    return read_link(token, keys_of(settings), moment)


def follow_link(database: Database, settings: Settings, token: str) -> SignedLink:
    """Do what a link is for; done again, it changes nothing.

    Raises:
        Unauthenticated: as `open_link`.
        NotFound: the group or channel was deleted.
    """
    link = open_link(database, settings, token)
    principal = Principal(f"link to channel {link.channel_id}", link.tenant, Role.analyst)
    if link.verb == "acknowledge":
        acknowledge_group(database, principal, link.subject_id)
    else:
        unsubscribe_channel(database, principal, link.subject_id)
    return link

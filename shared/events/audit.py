"""Who did what: said by every service."""

import msgspec

from shared.events.envelope import Topic


class Recorded(msgspec.Struct, omit_defaults=True):
    """Somebody changed something.

    Attributes:
        actor: subject of the token.
        action: for instance feeds.create.
        target: what it was done to.
        details: what is worth keeping; never a secret.
    """

    actor: str
    action: str
    target: str
    details: dict[str, str] = msgspec.field(default_factory=dict)


RECORDED = Topic("audit.recorded.v1", Recorded, "Somebody did something to something.", "tenant")

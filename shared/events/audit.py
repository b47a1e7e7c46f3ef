"""The audit event, which every service publishes."""

import msgspec

from shared.events.envelope import Topic


class Recorded(msgspec.Struct, omit_defaults=True):
    """An actor changed something.

    Attributes:
        actor: the subject of the token.
        action: for instance feeds.create.
        target: the id of what was changed.
        details: what is worth keeping; never a secret.
    """

    actor: str
    action: str
    target: str
    details: dict[str, str] = msgspec.field(default_factory=dict)


RECORDED = Topic("audit.recorded.v1", Recorded, "An actor changed something.", "tenant")

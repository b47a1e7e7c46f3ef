"""The audit event, which every service publishes."""

from typing import Any

import msgspec

from shared.events.envelope import Topic


class FieldChange(msgspec.Struct, omit_defaults=True):
    """What a field was and what it is; a secret is only said to be there.

    Attributes:
        before: None of what was not there.
        after: None of what is not there any more.
    """

    before: Any = None
    after: Any = None


class Recorded(msgspec.Struct, omit_defaults=True):
    """An actor changed something.

    Attributes:
        actor: the subject of the token.
        action: for instance feeds.create.
        target: the id of what was changed.
        details: what is worth keeping; never a secret.
        changes: the fields that changed.
        position: the record's number in the chain of its tenant and service.
        digest: of the record and of the one before it, in hexadecimal digits.
    """

    actor: str
    action: str
    target: str
    details: dict[str, str] = msgspec.field(default_factory=dict)
    changes: dict[str, FieldChange] = msgspec.field(default_factory=dict)
    position: int = 0
    digest: str = ""


RECORDED = Topic("audit.recorded.v1", Recorded, "An actor changed something.", "tenant")

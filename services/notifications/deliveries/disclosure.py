"""What of a notification a channel may tell: nothing that is marked above its ceiling.

Each message passes here on its way out, whatever has made it: an event by itself, a group, a
digest, a summary, or a repetition.
"""

from dataclasses import replace
from typing import Any, Final

from services.notifications.channel_types.base import ChannelType, InnerChannel, Notification
from shared.stix.markings import CLOSED, STRICTNESS

MARKING_LABEL: Final = "observable.tlp"
"""The label with the strictest marking in a group, unless that is clear."""
_NAMING: Final = frozenset({"observable.value", "observable.id", "trend.subject"})
"""Labels that name an observable."""


def is_told(marking: object, ceiling: str) -> bool:
    """Whether a marking allows it; an unknown one is closed."""
    return STRICTNESS.get(str(marking), STRICTNESS[CLOSED]) <= STRICTNESS[ceiling]


def restrict(notification: Notification, kind: ChannelType[Any], ceiling: str) -> Notification:
    """A notification without what is marked above a channel's ceiling.

    The counts stay, and so does the link: who reads them may look up there what may be read.

    Args:
        notification: the message.
        kind: of the channel. What stays inside the product tells everything.
        ceiling: the strictest marking that the channel tells, a level of TLP.
    """
    if isinstance(kind, InnerChannel) and kind.stays_inside:
        return notification
    hidden = [
        match for match in notification.matches if not is_told(match.get("tlp", "clear"), ceiling)
    ]
    is_group_told = is_told(notification.labels.get(MARKING_LABEL, "clear"), ceiling)
    if not hidden and is_group_told:
        return notification
    names = {str(match.get(field)) for match in hidden for field in ("value", "id", "title")}
    labels = {
        name: text
        for name, text in notification.labels.items()
        if name not in _NAMING or (is_group_told and text not in names)
    }
    matches = [match for match in notification.matches if match not in hidden]
    return replace(notification, matches=matches, labels=labels)

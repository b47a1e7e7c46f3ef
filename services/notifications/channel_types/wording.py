"""What messages for people say: plain texts of a notification, before any markup.

Everything that others have written is made inert: one line, no characters that a screen does not
show, no `@` that calls people, and values that nobody can click on (`hxxp://a[.]example`).
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar

from services.notifications.channel_types.base import MAX_MATCHES, Notification

Document = TypeVar("Document")

_MAX_VALUE: Final = 300
"""Characters of a value that a message shows."""
_MAX_NAME: Final = 120
_MAX_LABELS: Final = 5
_MAX_FIELDS: Final = 8
_SCHEME: Final = re.compile(r"(?i)\b(h)tt(ps?):")
_ZERO_WIDTH_SPACE: Final = "\u200b"


class MatchEntry(NamedTuple):
    """One match in words.

    Attributes:
        value: the observable, defanged; or the feed whose health has changed.
        detail: its type, what has changed, its score and tags.
    """

    value: str
    detail: str


def single_line(text: object, limit: int) -> str:
    """A text without line ends and invisible characters, which are shown by their numbers.

    Args:
        text: any text.
        limit: of UTF-16 units; the end of a longer text is replaced by an ellipsis.
    """
    shown = "".join(_shown(character) for character in str(text)[: limit + 1])
    if utf16_length(shown) <= limit:
        return shown
    while utf16_length(shown) >= limit:
        shown = shown[: len(shown) - max(1, (utf16_length(shown) - limit) // 2)]
    return f"{shown}\u2026"


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"


def inert(text: object, limit: int = _MAX_NAME) -> str:
    """A name that others have chosen, as one line that calls no person and no channel."""
    return single_line(text, limit).replace("@", f"@{_ZERO_WIDTH_SPACE}")


def defanged(value: object) -> str:
    """A value that no program turns into a link, as analysts write it."""
    text = _SCHEME.sub(r"\1xx\2:", single_line(value, _MAX_VALUE))
    return text.replace(".", "[.]").replace("@", "[@]")


def headline(notification: Notification) -> str:
    """One line: how bad, which rule, how many."""
    rule = inert(notification.rule)
    return f"[{notification.severity}] {rule}: {_news(notification)}"


def _news(notification: Notification) -> str:
    count = counted(notification.match_count)
    total = notification.total_count or notification.match_count
    match notification.kind:
        case "update":
            return f"{notification.match_count:,} more, {total:,} in all"
        case "close":
            reason = inert(notification.reason or "the opposite has arrived")
            return f"closed ({reason}), {total:,} in all"
        case "summary":
            return f"{count} held by {inert(notification.reason or 'a silence')}"
        case "digest":
            return f"digest of {count}{', late' if notification.is_late else ''}"
        case "reminder":
            return f"nobody has acknowledged {counted(total)}"
        case _:
            source = f" from {inert(notification.source)}" if notification.source else ""
            return f"{count}{source}"


def counted(count: int) -> str:
    """`1 match`, `2 matches`."""
    return "1 match" if count == 1 else f"{count:,} matches"


def facts(notification: Notification) -> list[tuple[str, str]]:
    """What is said beside the headline, as pairs of a name and a text."""
    pairs = [(inert(name, 60), inert(text)) for name, text in notification.labels.items()]
    pairs = pairs[:_MAX_LABELS]
    if notification.source and "source.name" not in notification.labels:
        pairs.append(("source", inert(notification.source)))
    if notification.due_at is not None:
        pairs.append(("due", notification.due_at.isoformat(timespec="minutes")))
    return pairs


def entries(notification: Notification) -> list[MatchEntry]:
    """The matches in words, in their order."""
    return [_entry(match) for match in notification.matches[:MAX_MATCHES]]


def _entry(match: dict[str, Any]) -> MatchEntry:
    if match.get("kind") == "health":
        before = match.get("before")
        detail = f"feed is {inert(match.get('state', ''))}"
        return MatchEntry(
            inert(match.get("feed", "")), f"{detail}, was {inert(before)}" if before else detail
        )
    if isinstance(match.get("fields"), dict):
        return MatchEntry(defanged(match.get("title", "")), _event_detail(match))
    parts = [inert(match[name], 40) for name in ("type", "kind") if match.get(name)]
    if match.get("score") is not None:
        before = match.get("score_before")
        change = "" if before is None else f", before {inert(before, 10)}"
        parts.append(f"score {inert(match['score'], 10)}{change}")
    tags = match.get("tags") or []
    if isinstance(tags, list) and tags:
        parts.append("tags " + " ".join(inert(tag, 40) for tag in tags[:5]))
    return MatchEntry(defanged(match.get("value", match.get("id", ""))), ", ".join(parts))


def _event_detail(match: dict[str, Any]) -> str:
    """What an event of another topic than observables says, field by field."""
    shown = [
        f"{inert(path, 60)} {defanged(_listed(value))}"
        for path, value in match["fields"].items()
        if value not in ("", [], 0, False) and value != match.get("title")
    ]
    return ", ".join([inert(match.get("kind", ""), 40), *shown[:_MAX_FIELDS]])


def _listed(value: object) -> object:
    if not isinstance(value, list):
        return value
    rest = f" and {len(value) - _MAX_FIELDS} more" if len(value) > _MAX_FIELDS else ""
    return " ".join(str(each) for each in value[:_MAX_FIELDS]) + rest


def left_out(notification: Notification, shown_count: int) -> str:
    """How many matches the link alone shows; empty if there is none."""
    rest = notification.match_count - shown_count
    if rest <= 0:
        return ""
    return f"{rest:,} of {counted(notification.match_count)} not shown here: see the link."


def fit(
    notification: Notification,
    write: Callable[[int], Document],
    is_small: Callable[[Document], bool],
) -> tuple[Document, int]:
    """The document with the most matches that is small enough, and their number.

    Args:
        notification: the message.
        write: writes the document with the first so many matches.
        is_small: whether the receiver takes it. The document without matches is taken as it is.
    """
    low = 0
    high = min(len(notification.matches), MAX_MATCHES)
    best = write(high)
    if is_small(best):
        return best, high
    best = write(0)
    high -= 1
    while low < high:
        middle = (low + high + 1) // 2
        document = write(middle)
        if is_small(document):
            low = middle
            best = document
        else:
            high = middle - 1
    return best, low


def utf16_length(text: str) -> int:
    """Length in UTF-16 units, in which some receivers count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2

"""One text for all receivers of text, in the markup of each.

Everything that is not the markup's own is escaped here, so that no channel can forget it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape as escape_html
from typing import Final

from services.notifications.channel_types import wording
from services.notifications.channel_types.base import Notification

MAX_TEXT: Final = 2000
"""Characters of what a template has written."""
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:/@&=$^])")
_WIKI: Final = re.compile(r"([\\*_?\-+^~{}\[\]()!|#@<>&:/=])")


def _same(text: str) -> str:
    return text


def _plain_link(label: str, url: str) -> str:
    return f"{label}: {url}"


@dataclass(frozen=True, slots=True)
class Markup:
    """How a receiver writes.

    Attributes:
        escape: makes a text mean just its characters.
        bold, code: mark an escaped text.
        code_escape: escapes what stands in `code`; None does what `escape` does.
        link: a link, of an escaped label and an address.
        bullet: what an entry begins with.
    """

    escape: Callable[[str], str] = _same
    bold: Callable[[str], str] = _same
    code: Callable[[str], str] = _same
    code_escape: Callable[[str], str] | None = None
    link: Callable[[str, str], str] = _plain_link
    bullet: str = "- "

    def quote(self, text: str) -> str:
        """A value in the markup's form for literal text."""
        escape = self.code_escape or self.escape
        return self.code(escape(text))


def compose(notification: Notification, count: int, markup: Markup) -> str:
    """The text of a notification.

    Args:
        notification: the message.
        count: of its matches to show.
        markup: the receiver's.
    """
    lines = [markup.bold(markup.escape(wording.headline(notification)))]
    if notification.text is None:
        lines += [
            f"{markup.escape(name)}: {markup.quote(text)}"
            for name, text in wording.facts(notification)
        ]
        lines += entry_lines(notification, count, markup)
        rest = wording.left_out(notification, count)
    else:
        lines += [markup.escape(line) for line in template_lines(notification.text)]
        rest = ""
    if rest:
        lines.append(markup.escape(rest))
    lines.append(markup.link("All matches", notification.url))
    if notification.acknowledge_url:
        lines.append(markup.link("Acknowledge", notification.acknowledge_url))
    lines.append(markup.escape(f"Notification {notification.id}"))
    return "\n".join(lines)


def entry_lines(notification: Notification, count: int, markup: Markup) -> list[str]:
    """A line for each of the first so many matches."""
    lines = []
    for entry in wording.entries(notification)[:count]:
        detail = f" {markup.escape(entry.detail)}" if entry.detail else ""
        lines.append(f"{markup.bullet}{markup.quote(entry.value)}{detail}")
    return lines


def template_lines(text: str) -> list[str]:
    """The lines that a template has written, as inert as names are, and none too long."""
    return [wording.inert(line, MAX_TEXT) for line in text[:MAX_TEXT].splitlines()]


def _escape_markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _markdown_code(text: str) -> str:
    return f"`{text}`"


def _code_text(text: str) -> str:
    """A text that does not end the code span in which it stands."""
    return text.replace("`", "\u02cb")


def _strip_address(url: str) -> str:
    return url.replace("(", "%28").replace(")", "%29").replace(" ", "%20")


def _markdown_link(label: str, url: str) -> str:
    return f"[{label}]({_strip_address(url)})"


def _strong_markdown(text: str) -> str:
    return f"**{text}**"


def _escape_html(text: str) -> str:
    return escape_html(text, quote=False)


def _html_link(label: str, url: str) -> str:
    return f'<a href="{escape_html(url)}">{label}</a>'


def _escape_wiki(text: str) -> str:
    return _WIKI.sub(r"\\\1", text)


PLAIN: Final = Markup()
MARKDOWN: Final = Markup(
    escape=_escape_markdown,
    bold=_strong_markdown,
    code=_markdown_code,
    code_escape=_code_text,
    link=_markdown_link,
)
HTML: Final = Markup(
    escape=_escape_html,
    bold=lambda text: f"<b>{text}</b>",
    code=lambda text: f"<code>{text}</code>",
    link=_html_link,
)
WIKI: Final = Markup(
    escape=_escape_wiki,
    bold=lambda text: f"*{text}*",
    link=lambda label, url: f"[{label}|{url.replace('|', '%7C').replace(']', '%5D')}]",
)

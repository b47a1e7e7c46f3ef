"""How Slack writes: `&`, `<` and `>` are escaped, and then nothing is a mention.

Source: https://docs.slack.dev/messaging/formatting-message-text
"""

from typing import Final

from services.notifications.channel_types.markup import Markup


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _link(label: str, url: str) -> str:
    return f"<{_escape(url).replace('|', '%7C')}|{label}>"


SLACK: Final = Markup(escape=_escape, link=_link)
"""For `mrkdwn`: links alone are written in it, names and values are not."""
SLACK_PLAIN: Final = Markup(escape=_escape)
"""For `plain_text`, in which nothing is formatted."""

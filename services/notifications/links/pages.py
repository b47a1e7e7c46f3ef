"""The pages behind signed addresses. They load nothing, and run no script."""

from html import escape
from typing import Final

from services.notifications.signed_links import SignedLink

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-robots-tag": "noindex",
}
_PAGE: Final = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>SentinelIQ</title></head>'
    "<body><h1>SentinelIQ</h1>{}</body></html>"
)
_QUESTIONS: Final = {
    "acknowledge": ("Do you take care of these matches? Nobody else is reminded then.", "Yes"),
    "unsubscribe": ("Do you want no more messages through this channel?", "Unsubscribe"),
}
_ENDS: Final = {
    "acknowledge": "You have acknowledged it.",
    "unsubscribe": "The channel is switched off. Its tenant can switch it on again.",
}


def question_page(link: SignedLink, token: str) -> str:
    """The page that asks; programs that only look at addresses do nothing by it."""
    question, label = _QUESTIONS[link.verb]
    form = (
        f'<p>{question}</p><form method="post" action="?token={escape(token)}">'
        f'<button type="submit">{label}</button></form>'
    )
    return _PAGE.format(form)


def end_page(link: SignedLink) -> str:
    """The page after the act."""
    return _PAGE.format(f"<p>{_ENDS[link.verb]}</p>")

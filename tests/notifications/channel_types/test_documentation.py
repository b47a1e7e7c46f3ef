"""The verifier in docs/notifications.md accepts what a webhook sends, and nothing else."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from services.notifications.channel_types.webhook import signature

PAGE = Path(__file__).parents[3] / "docs" / "notifications.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"type": "notification"}'


def documented_verifier() -> Callable[..., bool]:
    """The function of the page, as a reader would paste it."""
    [block] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  # it is our own page
    verifier: Callable[..., bool] = names["is_genuine"]
    return verifier


def test_a_real_signature_is_accepted() -> None:
    headers = signature("018f", BODY, SECRET)
    assert documented_verifier()(headers, BODY, SECRET)


def test_another_body_secret_or_time_is_refused() -> None:
    verify = documented_verifier()
    headers = signature("018f", BODY, SECRET)
    assert not verify(headers, BODY + b" ", SECRET)
    assert not verify(headers, BODY, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    assert not verify({**headers, "webhook-timestamp": "1700000000"}, BODY, SECRET)

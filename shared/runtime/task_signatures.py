"""Signed messages of the queues: the header `signature` shows which service sent a message.

It covers all headers, so the task, its id, tenant, actor, expiry and retries, and the bytes of the
arguments. A task is sent by its own service or by the scheduler, and by nobody else. No message is
decompressed: a kilobyte may hold gigabytes, and kombu would expand it before anybody verifies it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from celery.app.amqp import AMQP
from kombu import compression
from kombu.serialization import dumps
from kombu.utils.json import JSONEncoder

from shared.keys import TASKS
from shared.settings import load_settings
from shared.signing import Unauthentic, sign, verify

SIGNATURE: Final = "signature"

_UNSIGNED: Final = frozenset({SIGNATURE, "redelivered"})
"""Headers beside what is signed: the broker's client marks what it delivers again."""
_SCHEDULER: Final = "scheduler"


def read_as_sent() -> None:
    """Let all queues of this process read compressed bodies as they are: nobody signs such."""

    def keep(body: bytes) -> bytes:
        return body

    for content_type in compression.encoders():  # type: ignore[no-untyped-call]
        encode, _ = compression.get_encoder(content_type)  # type: ignore[no-untyped-call]
        compression.register(encode, keep, content_type)  # type: ignore[no-untyped-call]


read_as_sent()


class SignedQueues(AMQP):  # type: ignore[misc]  # Celery is untyped
    """Celery's way to its queues, which signs whatever its app sends, retries included."""

    def _create_task_sender(self) -> Callable[..., Any]:
        send = super()._create_task_sender()
        service = str(self.app.main)

        def send_signed(
            producer: Any, name: str, message: Any, headers: Any = None, **options: Any
        ) -> Any:
            merged = {**message.headers, **(headers or {})}
            _, _, body = dumps(message.body, serializer="json")  # type: ignore[no-untyped-call]
            content = _content(merged, body)
            merged[SIGNATURE] = sign(load_settings(), TASKS, service, content)
            return send(producer, name, message._replace(headers=merged), **options)

        return send_signed


def verify_message(service: str, headers: Mapping[str, Any], body: str | bytes) -> None:
    """Require that a message for a service is from somebody who may send it.

    Args:
        service: whose worker has taken it.
        headers: may hold anything.
        body: the bytes of the arguments.

    Raises:
        Unauthentic: the message says wrongly, or not at all, who has sent it.
    """
    signature = headers.get(SIGNATURE)
    if not isinstance(signature, str):
        raise Unauthentic("Nobody has signed the message.", field=SIGNATURE)
    signer = verify(load_settings(), TASKS, signature, _content(headers, body))
    owner = str(headers.get("task")).partition(".")[0]
    if owner != service or signer not in {owner, _SCHEDULER}:
        raise Unauthentic(f"{signer} may not send {headers.get('task')}.", field=SIGNATURE)


def _content(headers: Mapping[str, Any], body: str | bytes) -> bytes:
    signed = {name: value for name, value in headers.items() if name not in _UNSIGNED}
    text = json.dumps(signed, sort_keys=True, cls=JSONEncoder, separators=(",", ":"))
    return text.encode() + b"\n" + (body.encode() if isinstance(body, str) else body)

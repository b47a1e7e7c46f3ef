"""The syslog channel: RFC 5424 with JSON, or CEF, over TLS.

Sources: RFC 5424 (format), RFC 5425 (TLS), RFC 6587 §3.4.1 (octet counting over TCP), and the
Common Event Format, revision 27. Syslog has no answer: accepted is what was handed to TLS.
"""

import asyncio
import re
import socket
import ssl
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MessageLimits,
    Notification,
    OutcomeUnknown,
    Receipt,
    RenderedMessage,
)
from services.notifications.channel_types.connection import (
    check_host,
    refuse_bad_authorities,
    tls_context_of,
)
from shared.errors import UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

PORTS: Final = frozenset({514, 601, 1514, 5514, 6514})
MAX_BYTES: Final = 8192
"""Bytes of a message; RFC 5425 asks receivers to take as many."""
_LEVELS: Final = {"low": 5, "medium": 4, "high": 3, "critical": 2}
_CEF_LEVELS: Final = {"low": 3, "medium": 5, "high": 8, "critical": 10}
_CEF_HEADER: Final = re.compile(r"([\\|])")
_CEF_VALUE: Final = re.compile(r"([\\=])")


class SyslogConfig(BaseModel):
    """The receiver and the format."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(default=6514, ge=1, le=65_535)
    tls: Literal["tls", "none"] = Field(default="tls", title="none states that there is no TLS")
    authorities: Annotated[str | None, AfterValidator(refuse_bad_authorities)] = Field(
        default=None, max_length=20_000, title="Certificates to trust, in PEM"
    )
    format: Literal["rfc5424", "cef"] = "rfc5424"
    facility: int = Field(default=16, ge=0, le=23, title="16 to 23: local0 to local7")


class SyslogChannel:
    """Writes one message for each notification."""

    name: ClassVar[str] = "syslog"
    config: type[SyslogConfig] = SyslogConfig
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(bytes=MAX_BYTES)

    async def check(self, config: SyslogConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse a receiver that no attempt may reach."""
        await check_host(config.host, config.port, allow, PORTS)

    def render(self, notification: Notification, config: SyslogConfig) -> RenderedMessage:
        """The message without its length."""
        write = _cef if config.format == "cef" else _json
        head = _header(notification, config)

        def write_whole(count: int) -> bytes:
            return head + write(notification, count)

        content, shown = wording.fit(notification, write_whole, lambda body: len(body) <= MAX_BYTES)
        return RenderedMessage((content,), "text/plain", shown)

    async def send(
        self,
        notification: Notification,
        config: SyslogConfig,
        secret: str | None,  # noqa: ARG002  # part of the protocol
        client: GuardedClient,
    ) -> Receipt:
        """Write the message once.

        Raises:
            OutcomeUnknown: the connection broke while it was written.
            UpstreamError: there is no connection, or its certificate does not verify.
        """
        content = self.render(notification, config).parts[0]
        connection = await client.connect(config.host, config.port, ports=PORTS)
        writer = await _open(connection, config)
        try:
            writer.write(b"%d %b" % (len(content), content))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
        except OSError as error:
            raise OutcomeUnknown(f"{config.host} broke off while it was written to.") from error
        finally:
            writer.transport.abort()
        return Receipt()


async def _open(connection: socket.socket, config: SyslogConfig) -> asyncio.StreamWriter:
    context = None if config.tls == "none" else tls_context_of(config.authorities)
    name = config.host if context else None
    try:
        _, writer = await asyncio.open_connection(
            sock=connection, ssl=context, server_hostname=name
        )
    except (ssl.SSLError, OSError) as error:
        connection.close()
        raise UpstreamError(
            f"{config.host}: {wording.single_line(error, 300)}",
            retryable=not isinstance(error, ssl.SSLCertVerificationError),
        ) from error
    return writer


def _header(notification: Notification, config: SyslogConfig) -> bytes:
    priority = config.facility * 8 + _LEVELS[notification.severity]
    moment = notification.created_at.isoformat(timespec="milliseconds")
    return f"<{priority}>1 {moment} - sentineliq - {notification.kind} - ".encode()


def _json(notification: Notification, count: int) -> bytes:
    return exchange.encode(
        {
            "id": notification.id,
            "kind": notification.kind,
            "severity": notification.severity,
            "rule": wording.inert(notification.rule),
            "message": wording.headline(notification),
            "facts": dict(wording.facts(notification)),
            "match_count": notification.match_count,
            "matches": [f"{e.value} {e.detail}" for e in wording.entries(notification)[:count]],
            "left_out": wording.left_out(notification, count),
            "url": notification.url,
        }
    )


def _cef(notification: Notification, count: int) -> bytes:
    head = (
        "CEF:0",
        "SentinelIQ",
        "SentinelIQ",
        "1",
        _header_text(str(notification.rule_id)),
        _header_text(wording.headline(notification)),
        str(_CEF_LEVELS[notification.severity]),
    )
    listed = [f"{e.value} ({e.detail})" for e in wording.entries(notification)[:count]]
    rest = wording.left_out(notification, count)
    pairs = {
        "externalId": str(notification.id),
        "cnt": str(notification.match_count),
        "rt": str(int(notification.created_at.timestamp() * 1000)),
        "request": notification.url,
        "act": notification.kind,
        "msg": "; ".join([*listed, rest] if rest else listed),
    }
    extension = " ".join(f"{name}={_value(text)}" for name, text in pairs.items())
    return f"{'|'.join(head)}|{extension}".encode("utf-8", "replace")


def _header_text(text: str) -> str:
    return _CEF_HEADER.sub(r"\\\1", text)


def _value(text: str) -> str:
    return _CEF_VALUE.sub(r"\\\1", text)

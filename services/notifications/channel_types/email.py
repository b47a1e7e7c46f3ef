"""The e-mail channel: text and HTML, threads, one-click unsubscribing, DKIM.

Sources: RFC 5322 (Message-ID, References), RFC 2369 and 8058 (List-Unsubscribe), RFC 3834
(Auto-Submitted), RFC 6376 (DKIM).
"""

import asyncio
import socket
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from typing import Annotated, ClassVar, Final, Literal

import aiosmtplib
import dkim
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from services.notifications.channel_types import exchange, wording
from services.notifications.channel_types.base import (
    MAX_MATCHES,
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
from services.notifications.channel_types.markup import HTML, PLAIN, compose
from shared.errors import InvalidInput, UpstreamError
from shared.http.client import GuardedClient
from shared.http.guard import Allowance

PORTS: Final = frozenset({25, 465, 587, 2525})
_SECONDS: Final = 10.0
_SUBJECT: Final = 200
_ADDRESS: Final = r"^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"
_SIGNED: Final = (
    "From", "To", "Subject", "Date", "Message-ID", "References", "In-Reply-To", "MIME-Version",
    "Content-Type", "Auto-Submitted", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post",
)  # fmt: skip
_HTML: Final = '<html><body style="font-family: sans-serif; line-height: 1.5">{}</body></html>'


class EmailConfig(BaseModel):
    """The mail server, the sender and the receiver."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9.:_-]+$")
    port: int = Field(default=587, ge=1, le=65_535)
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", title="starttls: without it nothing is sent; tls: from the first byte"
    )
    authorities: Annotated[str | None, AfterValidator(refuse_bad_authorities)] = Field(
        default=None, max_length=20_000, title="Certificates to trust, in PEM"
    )
    sender: str = Field(pattern=_ADDRESS, max_length=254)
    to: str = Field(pattern=_ADDRESS, max_length=254, title="One receiver, or a mailing list")
    dkim_domain: str | None = Field(default=None, pattern=r"^[A-Za-z0-9.-]{3,253}$")
    dkim_selector: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,63}$")

    @model_validator(mode="after")
    def _whole_dkim(self) -> "EmailConfig":
        if (self.dkim_domain is None) != (self.dkim_selector is None):
            raise ValueError("dkim_domain and dkim_selector belong together")
        return self


class EmailCredentials(BaseModel):
    """The login of the mail server, and the private key of DKIM in PEM."""

    model_config = ConfigDict(extra="forbid")

    username: str | None = Field(default=None, max_length=300)
    password: str | None = Field(default=None, max_length=1000)
    dkim_key: str | None = Field(default=None, max_length=10_000, pattern=r"^-----BEGIN ")


class EmailChannel:
    """Sends to one receiver. The messages of a group are one thread.

    `render` shows the message without its DKIM signature, which has the time of the attempt.
    """

    name: ClassVar[str] = "email"
    config: type[EmailConfig] = EmailConfig
    credentials: type[EmailCredentials] = EmailCredentials
    signs: ClassVar[bool] = False
    limits: ClassVar[MessageLimits] = MessageLimits(bytes=1 << 20, per_minute=60)

    async def check(self, config: EmailConfig, allow: tuple[Allowance, ...]) -> None:
        """Refuse a mail server that no attempt may reach."""
        await check_host(config.host, config.port, allow, PORTS)

    def render(self, notification: Notification, config: EmailConfig) -> RenderedMessage:
        """The message."""
        shown = min(len(notification.matches), MAX_MATCHES)
        message = _message(notification, config, shown)
        return RenderedMessage((message.as_bytes(policy=SMTP),), "message/rfc822", shown)

    async def send(
        self,
        notification: Notification,
        config: EmailConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Send the message once; the receipt is its Message-ID.

        Raises:
            OutcomeUnknown: the server did not answer after it had the message.
            UpstreamError: the server did not accept it, or offers no TLS.
        """
        credentials = exchange.credentials_of(EmailCredentials, secret)
        content = self.render(notification, config).parts[0]
        if config.dkim_domain and config.dkim_selector and credentials.dkim_key:
            content = _signed(content, config, credentials.dkim_key)
        connection = await client.connect(config.host, config.port, ports=PORTS)
        server = aiosmtplib.SMTP(
            hostname=config.host,
            sock=connection,
            timeout=_SECONDS,
            use_tls=config.tls == "tls",
            start_tls=False,
            tls_context=None if config.tls == "none" else tls_context_of(config.authorities),
            local_hostname=_domain(config),
        )
        transport = None
        try:
            answer = await _deliver(server, config, credentials, content)
            # `quit` forgets the transport while it is still closing.
            transport = server.transport
            with suppress(aiosmtplib.SMTPException, OSError):
                await server.quit()
        finally:
            _abort(transport or server.transport, connection)
        return Receipt(answer.code, _message_id(notification, config), answer.message[:2000])

    async def update(
        self,
        notification: Notification,
        config: EmailConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Send the message as an answer to the group's opening."""
        return await self.send(notification, config, secret, client)

    async def close(
        self,
        notification: Notification,
        config: EmailConfig,
        secret: str | None,
        client: GuardedClient,
    ) -> Receipt:
        """Send the message as an answer to the group's opening."""
        return await self.send(notification, config, secret, client)


def _abort(transport: asyncio.BaseTransport | None, connection: socket.socket) -> None:
    """Close the connection, whatever state it is in, without waiting for the server."""
    if isinstance(transport, asyncio.WriteTransport):
        transport.abort()
    else:
        connection.close()


async def _deliver(
    server: aiosmtplib.SMTP, config: EmailConfig, credentials: EmailCredentials, content: bytes
) -> aiosmtplib.SMTPResponse:
    try:
        await server.connect()
        await server.ehlo()
        if config.tls == "starttls":
            await server.starttls()
        if credentials.username is not None:
            await server.login(credentials.username, credentials.password or "")
        await server.mail(config.sender)
        await server.rcpt(config.to)
    except aiosmtplib.SMTPResponseException as error:
        raise _refusal(error) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        # TLS that is not offered will not be offered to the next attempt; servers come back.
        is_final = isinstance(error, aiosmtplib.SMTPNotSupported) or "STARTTLS" in str(error)
        raise UpstreamError(
            f"{config.host}: {wording.single_line(error, 300)}", retryable=not is_final
        ) from error
    try:
        return await server.data(content)
    except aiosmtplib.SMTPResponseException as error:
        raise _refusal(error) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise OutcomeUnknown(f"{config.host} did not answer after it had the message.") from error


def _refusal(error: aiosmtplib.SMTPResponseException) -> UpstreamError:
    return UpstreamError(
        f"The mail server answered {error.code}.",
        retryable=error.code < 500,
        upstream_status=error.code,
        answer=error.message[:2000],
    )


def _domain(config: EmailConfig) -> str:
    return config.sender.rpartition("@")[2].lower()


def _message_id(notification: Notification, config: EmailConfig) -> str:
    return f"<{notification.id}@{_domain(config)}>"


def _message(notification: Notification, config: EmailConfig, count: int) -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = f"SentinelIQ <{config.sender}>"
    message["To"] = config.to
    message["Subject"] = _subject(notification)
    message["Date"] = notification.created_at
    message["Message-ID"] = _message_id(notification, config)
    if notification.group_id is not None:
        # A root of its own, so that messages are one thread although the opening was lost.
        root = f"<{notification.group_id}@{_domain(config)}>"
        message["References"] = " ".join(filter(None, [root, notification.receipt]))
        if notification.receipt:
            message["In-Reply-To"] = notification.receipt
    message["Auto-Submitted"] = "auto-generated"
    message["List-Id"] = f"<{notification.rule_id}.sentineliq.{_domain(config)}>"
    if notification.unsubscribe_url:
        message["List-Unsubscribe"] = f"<{notification.unsubscribe_url}>"
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    footer = ""
    if notification.unsubscribe_url:
        footer = f"\nUnsubscribe: {notification.unsubscribe_url}"
    message.set_content(f"{compose(notification, count, PLAIN)}{footer}\n", cte="base64")
    lines = compose(notification, count, HTML)
    if notification.unsubscribe_url:
        lines += f"\n{HTML.link('Unsubscribe', notification.unsubscribe_url)}"
    page = _HTML.format(lines.replace("\n", "<br>\n"))
    message.add_alternative(page, subtype="html", cte="base64")
    # The library would draw another boundary each time.
    message.set_boundary(f"=_{notification.id.hex}")
    return message


def _subject(notification: Notification) -> str:
    """One subject for all messages of a group: some readers thread by it."""
    if notification.group_id is None:
        return wording.single_line(wording.headline(notification), _SUBJECT)
    common = ", ".join(wording.inert(text, 80) for text in notification.labels.values())
    subject = f"[{notification.severity}] {wording.inert(notification.rule)}"
    subject = wording.single_line(f"{subject}: {common}" if common else subject, _SUBJECT)
    return f"Re: {subject}" if notification.receipt else subject


def _signed(content: bytes, config: EmailConfig, key: str) -> bytes:
    """The message with its signature, which covers the headers of unsubscribing.

    Raises:
        InvalidInput: the key cannot be used.
    """
    head = content.partition(b"\r\n\r\n")[0]
    names = {line.partition(b":")[0].lower() for line in head.splitlines() if b":" in line}
    covered = [name.encode() for name in _SIGNED if name.lower().encode() in names]
    try:
        header: bytes = dkim.sign(
            content,
            (config.dkim_selector or "").encode(),
            (config.dkim_domain or "").encode(),
            key.encode(),
            canonicalize=(b"relaxed", b"relaxed"),
            include_headers=covered,
        )
    except (dkim.DKIMException, ValueError, TypeError) as error:
        raise InvalidInput("The DKIM key cannot be used.", field="credentials.dkim_key") from error
    return header + content

"""The e-mail channel through a real SMTP server."""

import asyncio
from base64 import b64encode
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from uuid import uuid4

import dkim
import pytest
from aiosmtpd.smtp import SMTP
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings

from services.notifications.channel_types import wording
from services.notifications.channel_types.email import EmailChannel, EmailConfig
from services.notifications.deliveries.retry_policy import seconds_to_retry
from shared.errors import InvalidInput
from tests.notifications.channel_types.certificates import loopback_certificate
from tests.notifications.channel_types.contract import (
    ALLOW,
    ChannelContract,
    notification,
    send,
)
from tests.notifications.channel_types.hostile import notifications
from tests.notifications.channel_types.loopback import serving
from tests.notifications.channel_types.vendor_contract import EXAMPLES

UNSUBSCRIBE = "https://sentineliq.example/v1/links?token=abc"


class Mailbox:
    """Keeps what arrives, or answers as it is told to."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.answer = "250 OK"

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
        if self.answer == "hang up":
            self.contents.append(envelope.original_content)
            raise ConnectionResetError
        if self.answer.startswith("250"):
            self.contents.append(envelope.original_content)
        return self.answer

    async def handle_exception(self, _error):
        return "451 try again"

    @property
    def messages(self):
        return [message_from_bytes(content, policy=default) for content in self.contents]


@pytest.fixture
def mailbox():
    return Mailbox()


@pytest.fixture
def certificate(tmp_path):
    return loopback_certificate(tmp_path)


@pytest.fixture
def server(mailbox, certificate):
    context, _ = certificate
    with serving(lambda: SMTP(mailbox, tls_context=context, require_starttls=True)) as port:
        yield port


@pytest.fixture(scope="module")
def dkim_key():
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


def text_of(message):
    return message.get_body(("plain",)).get_content()


class TestEmail(ChannelContract):
    @pytest.fixture
    def kind(self):
        return EmailChannel()

    @pytest.fixture
    def config(self, server, certificate):
        return {
            "host": "127.0.0.1",
            "port": server,
            "authorities": certificate[1],
            "sender": "alerts@sentineliq.example",
            "to": "soc@example.com",
        }

    @pytest.fixture
    def credentials(self):
        return {}

    @pytest.fixture
    def sent_texts(self, mailbox):
        return lambda: [text_of(message) for message in mailbox.messages]

    def test_dkim_verifies_and_covers_unsubscribing(self, kind, config, mailbox, dkim_key):
        config |= {"dkim_domain": "sentineliq.example", "dkim_selector": "mail"}
        pem = dkim_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode()
        public = dkim_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        record = b"v=DKIM1; k=rsa; p=" + b64encode(public)
        message = replace(notification({"value": "ä" * 500}), unsubscribe_url=UNSUBSCRIBE)
        result = send(kind, config, message, credentials={"dkim_key": pem})
        assert result.error is None, result
        [content] = mailbox.contents
        assert dkim.verify(content, dnsfunc=lambda *_, **__: record)
        changed = content.replace(b"token=abc", b"token=xyz")
        assert changed != content
        assert not dkim.verify(changed, dnsfunc=lambda *_, **__: record)
        [mail] = mailbox.messages
        assert mail["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Auto-Submitted"] == "auto-generated"

    def test_five_updates_are_one_thread(self, kind, config, mailbox):
        opening = replace(
            notification({"value": "http://a.example/"}),
            group_id=uuid4(),
            labels={"source.name": "ipsum"},
        )
        receipt = send(kind, config, opening, credentials={}).reference
        for _ in range(5):
            later = replace(opening, id=uuid4(), kind="update", receipt=receipt, match_count=7)
            assert send(kind, config, later, credentials={}).error is None
        mails = mailbox.messages
        roots = {mail["References"].split()[0] for mail in mails}
        assert len(mails) == 6
        assert len(roots) == 1
        assert len({mail["Message-ID"] for mail in mails}) == 6
        assert {mail["In-Reply-To"] for mail in mails[1:]} == {mails[0]["Message-ID"]}
        subjects = {mail["Subject"].removeprefix("Re: ") for mail in mails}
        assert len(subjects) == 1

    def test_a_repeated_message_has_the_same_message_id(self, kind, config, mailbox):
        message = notification()
        for _ in range(2):
            assert send(kind, config, message, credentials={}).error is None
        first, second = mailbox.messages
        assert first["Message-ID"] == second["Message-ID"]
        assert mailbox.contents[0] == mailbox.contents[1]

    def test_a_server_without_starttls_gets_nothing(self, kind, config, mailbox):
        with serving(lambda: SMTP(mailbox)) as port:
            config |= {"port": port}
            login = {"username": "bot", "password": "secret-password"}
            result = send(kind, config, notification(), credentials=login)
            assert result.error is not None
            assert seconds_to_retry(result.error, 1) is None
            assert mailbox.contents == []
            stated = send(kind, config | {"tls": "none"}, notification(), credentials={})
            assert stated.error is None, stated

    def test_an_unknown_certificate_is_refused(self, kind, config, mailbox):
        result = send(kind, config | {"authorities": None}, notification(), credentials={})
        assert result.error is not None
        assert mailbox.contents == []

    def test_tls_from_the_first_byte(self, kind, config, mailbox, certificate):
        with serving(lambda: SMTP(mailbox), certificate[0]) as port:
            config |= {"port": port, "tls": "tls"}
            assert send(kind, config, notification(), credentials={}).error is None

    @pytest.mark.parametrize(
        ("answer", "may_repeat"), [("451 later", True), ("552 too large", False)]
    )
    def test_what_the_server_answers_decides(self, kind, config, mailbox, answer, may_repeat):
        mailbox.answer = answer
        result = send(kind, config, notification(), credentials={})
        assert result.status == int(answer[:3])
        assert (seconds_to_retry(result.error, 1) is not None) is may_repeat
        assert not result.is_unknown

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(message=notifications())
    def test_hostile_messages_arrive_whole(self, kind, config, mailbox, message):
        mailbox.contents.clear()
        message = replace(message, unsubscribe_url=UNSUBSCRIBE)
        result = send(kind, config, message, credentials={})
        assert result.error is None, result
        [mail] = mailbox.messages
        assert mail.defects == []
        assert mail["Bcc"] is None
        assert len(mail.get_all("To")) == 1
        text = text_of(mail)
        assert message.url in text
        if message.text is None:
            for entry in wording.entries(message):
                assert entry.value in text
            rest = message.match_count - len(message.matches)
            assert (f"{rest:,} of " in text) is (rest > 0)

    @pytest.mark.parametrize(
        ("values", "place"),
        [
            ({"host": "10.0.0.8"}, "config.host"),
            ({"host": "169.254.169.254", "port": 25}, "config.host"),
            ({"host": "203.0.113.7", "port": 22}, "config.host"),
        ],
    )
    def test_a_forbidden_server_is_refused(self, kind, config, values, place):
        with pytest.raises(InvalidInput) as caught:
            asyncio.run(kind.check(EmailConfig(**(config | values)), ALLOW))
        assert caught.value.details["field"] == place
        result = send(kind, config | values, notification(), credentials={})
        assert result.error.code == "forbidden-target"

    @pytest.mark.parametrize(
        "values",
        [
            {"to": "a@example.com, b@example.com"},
            {"to": "a@example.com\r\nBcc: x@example.com"},
            {"sender": "SentinelIQ <a@example.com>"},
            {"authorities": "no certificate"},
            {"dkim_domain": "example.com"},
            {"tls": "maybe"},
        ],
    )
    def test_a_bad_configuration_is_refused(self, config, values):
        with pytest.raises(ValueError, match="1 validation error"):
            EmailConfig(**(config | values))

"""The Apprise channel: real processes of Apprise, against a server on loopback that misbehaves."""

import asyncio
import json
import os
import subprocess
import time
from ipaddress import ip_network
from pathlib import Path

import apprise as library
import pytest
from apprise.manager_plugins import NotificationManager
from hypothesis import given
from pydantic import ValidationError

from services.notifications.channel_types import apprise, apprise_process, wording
from services.notifications.channel_types.apprise import (
    SERVICES,
    AppriseChannel,
    AppriseCredentials,
)
from services.notifications.channel_types.attempt import attempt, channel_client
from services.notifications.deliveries.retry_policy import seconds_to_retry
from shared.errors import InvalidInput
from shared.http.guard import OutboundGrant
from tests.notifications.channel_types.contract import (
    ALLOW,
    ChannelContract,
    notification,
    send,
)
from tests.notifications.channel_types.hostile import notifications
from tests.notifications.channel_types.loopback import serving
from tests.notifications.channel_types.test_lines import HOSTILE


class _Service(asyncio.Protocol):
    """Takes messages as ntfy and its like do; what it answers is what `mode` says."""

    def __init__(self, state):
        self.state = state
        self.transport = None
        self.rest = b""

    def connection_made(self, transport):
        self.transport = transport
        self.state["connections"] += 1

    def data_received(self, data):
        self.rest += data
        head, _, body = self.rest.partition(b"\r\n\r\n")
        lengths = [
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        if b"\r\n\r\n" not in self.rest or len(body) < sum(lengths):
            return
        self.rest = b""
        self.state["requests"].append((head.decode("latin-1"), body))
        answer = self.state["answer"]
        if answer is None:
            return
        if answer == "cut":
            self.transport.close()
            return
        self.transport.write(answer)


def _http(status, body=b"{}", **headers):
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.fixture
def state():
    return {"requests": [], "connections": 0, "answer": _http(200)}


@pytest.fixture
def port(state):
    with serving(lambda: _Service(state)) as port:
        yield port


class TestApprise(ChannelContract):
    @pytest.fixture
    def kind(self):
        return AppriseChannel()

    @pytest.fixture
    def config(self):
        return {}

    @pytest.fixture
    def credentials(self, port):
        return {"address": f"ntfy://127.0.0.1:{port}/alerts"}

    @pytest.fixture
    def sent_texts(self, state):
        return lambda: [json.loads(body)["message"] for _, body in state["requests"]]

    @HOSTILE
    @given(message=notifications())
    def test_hostile_messages_are_accepted_whole_and_call_nobody(
        self, kind, config, credentials, state, message
    ):
        state["requests"].clear()
        result = send(kind, config, message, credentials=credentials)
        assert result.error is None, result
        [(_, body)] = state["requests"]
        text = json.loads(body)["message"]
        assert wording.utf16_length(text) <= SERVICES["ntfy"]
        assert message.url in text
        assert str(message.id) in text
        for call in ("@here", "@all", "@room", "<!channel>", "<users/all>", "<at ", "<@"):
            assert call not in text
        if message.text is None:
            shown = kind.render(message, config).shown_count
            rest = message.match_count - shown
            assert (f"{rest:,} of " in text) is (rest > 0)

    @HOSTILE
    @given(message=notifications())
    def test_the_smallest_service_takes_every_message(self, message):
        text, _ = apprise._text(message, min(SERVICES.values()))
        assert wording.utf16_length(text) <= min(SERVICES.values())
        assert message.url in text
        assert str(message.id) in text

    @pytest.mark.parametrize(
        "address",
        [
            "gotify://127.0.0.1:{}/token",
            "synology://127.0.0.1:{}/token",
            "nctalk://user:word@127.0.0.1:{}/room",
            "hassio://127.0.0.1:{}/token",
            "rocket://user:word@127.0.0.1:{}/#room",
            "signal://127.0.0.1:{}/14165550123/14165550124",
            "bark://127.0.0.1:{}/key",
            "apprise://127.0.0.1:{}/token",
        ],
    )
    def test_other_services_of_the_list_are_reached_at_the_vetted_address(
        self, kind, config, state, port, address
    ):
        state["answer"] = _http(
            200,
            b'{"status":"success","success":true,"code":200,"data":{"authToken":"t","userId":"u"}}',
            content_type="application/json",
        )
        credentials = {"address": address.format(port)}
        result = send(kind, config, notification(), credentials=credentials)
        assert state["requests"]
        assert result.error is None, result

    def test_a_forbidden_address_is_refused_before_anything_is_sent(
        self, kind, config, state, credentials
    ):
        for allow in ((), (OutboundGrant.parse("127.0.0.1:1"),)):
            result = _attempt_with(allow, kind, config, credentials)
            assert result.error.code == "forbidden-target"
            assert seconds_to_retry(result.error, 1) is None
        assert state["connections"] == 0

    def test_a_name_that_resolves_to_this_machine_is_vetted_where_it_connects(
        self, kind, config, state, port
    ):
        address = {"address": f"ntfy://localhost:{port}/alerts"}
        result = _attempt_with((ip_network("10.0.0.0/8"),), kind, config, address)
        assert result.error.code == "forbidden-target"
        # A grant by name does not lead to this machine either.
        grant = (OutboundGrant.parse(f"localhost:{port}"),)
        assert _attempt_with(grant, kind, config, address).error.code == "forbidden-target"
        assert state["connections"] == 0

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    def test_redirects_are_not_followed(self, kind, config, state, port, credentials, status):
        state["answer"] = _http(status, location=f"http://127.0.0.1:{port}/elsewhere")
        result = send(kind, config, notification(), credentials=credentials)
        assert len(state["requests"]) == 1
        assert result.status == status
        assert seconds_to_retry(result.error, 1) is None

    def test_what_the_server_answers_decides_what_comes_next(
        self, kind, config, state, credentials
    ):
        state["answer"] = _http(410)
        assert send(kind, config, notification(), credentials=credentials).is_gone
        state["answer"] = _http(429, retry_after="77")
        result = send(kind, config, notification(), credentials=credentials)
        assert result.error.retry_after == 77
        assert not result.is_unknown
        state["answer"] = _http(413, b'{"error": "too large"}')
        result = send(kind, config, notification(), credentials=credentials)
        assert seconds_to_retry(result.error, 1) is None
        assert "too large" in result.answer
        state["answer"] = _http(502)
        assert send(kind, config, notification(), credentials=credentials).is_unknown

    def test_an_answer_that_is_cut_off_is_an_unknown_outcome(
        self, kind, config, state, credentials
    ):
        state["answer"] = "cut"
        result = send(kind, config, notification(), credentials=credentials)
        assert result.is_unknown
        assert len(state["requests"]) == 1
        state["answer"] = _http(200)
        again = send(kind, config, notification(), credentials=credentials, is_repetition=True)
        assert again.error is None
        assert again.is_maybe_repeated

    def test_a_huge_answer_is_not_read(self, kind, config, state, credentials):
        state["answer"] = _http(200, b"x" * 10_000_000)
        result = send(kind, config, notification(), credentials=credentials)
        assert result.is_unknown

    def test_a_closed_port_is_tried_again(self, kind, config):
        address = {"address": "ntfy://127.0.0.1:1/alerts"}
        result = send(kind, config, notification(), credentials=address)
        assert not result.is_unknown
        assert seconds_to_retry(result.error, 1) is not None

    def test_a_server_that_never_answers_is_given_up_and_no_process_is_left(
        self, kind, config, state, credentials
    ):
        state["answer"] = None
        started = time.monotonic()
        result = send(kind, config, notification(), 2.0, credentials=credentials)
        assert time.monotonic() - started < 3.5
        assert result.is_unknown
        assert _processes() == len([each for each in apprise_process._idle if each.is_alive])

    def test_messages_are_sent_at_the_same_time_within_the_places(
        self, kind, config, state, credentials
    ):
        async def send_all(count):
            async with channel_client(ALLOW) as client:
                text = json.dumps(credentials)
                attempts = [
                    attempt(kind, config, text, notification(), client) for _ in range(count)
                ]
                return await asyncio.gather(*attempts)

        results = asyncio.run(send_all(12))
        assert [result.error for result in results] == [None] * 12
        assert len(state["requests"]) == 12
        assert _processes() <= apprise_process.MAX_PROCESSES

    def test_a_process_of_apprise_has_nothing_of_our_environment(self, kind, config, credentials):
        assert send(kind, config, notification(), credentials=credentials).error is None
        [process, *_] = apprise_process._idle
        environment = Path(f"/proc/{process._process.pid}/environ").read_text()
        names = {part.partition("=")[0] for part in environment.split("\0") if part}
        assert names == {"PYTHONPATH", "LC_ALL"}

    @pytest.mark.parametrize(
        "address",
        [
            "syslog://",
            "windows://",
            "dbus://",
            "file:///etc/passwd",
            "json://127.0.0.1/",
            "mailto://a:b@example.com",
            "ntfy://a/x, syslog://",
            "ntfy://a/x\nsyslog://",
            "ntfys://a/x?verify=no",
            "ntfys://a/x?+redirect=yes",
            "NTFY://a/x",
            "ntfy",
            "",
        ],
    )
    def test_other_addresses_are_refused(self, address):
        with pytest.raises(ValidationError):
            AppriseCredentials(address=address)

    def test_what_apprise_cannot_read_is_refused_at_saving(self, kind):
        useless = AppriseCredentials(address="pover://nobody")
        with pytest.raises(InvalidInput) as refusal:
            asyncio.run(kind.check_credentials(useless, ALLOW))
        assert refusal.value.details["field"] == "credentials.address"
        good = AppriseCredentials(address="ntfys://ntfy.example.com/topic")
        asyncio.run(kind.check_credentials(good, ALLOW))

    def test_missing_credentials_are_a_result(self, kind, config):
        result = send(kind, config, notification())
        assert result.error.details["field"] == "credentials"


def _attempt_with(allow, kind, config, credentials):
    async def send_once():
        async with channel_client(allow) as client:
            return await attempt(kind, config, json.dumps(credentials), notification(), client)

    return asyncio.run(send_once())


def _processes():
    """The processes of Apprise that this one has."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "--ppid", str(os.getpid())], capture_output=True, check=True
    )
    return listed.stdout.count(b"apprise_child")


@pytest.mark.filterwarnings("ignore:'imghdr'")  # Apprise replaces it where it is gone
def test_every_scheme_is_one_of_apprise_and_takes_what_the_list_says() -> None:
    manager = NotificationManager()
    manager.load_modules()
    for scheme, most in SERVICES.items():
        plugin = manager[scheme]
        # Of some it is a property, of more than our most.
        if isinstance(plugin.body_maxlen, int):
            assert plugin.body_maxlen >= most, scheme
    assert max(SERVICES.values()) == apprise.MAX_CHARACTERS
    assert tuple(map(int, library.__version__.split(".")[:2])) >= (2, 3)

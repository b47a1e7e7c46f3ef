"""Channels to what collects lines: syslog, files, the inbox."""

import asyncio
import fcntl
import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings

from services.notifications.channel_types import file, wording
from services.notifications.channel_types.file import FileChannel, FileConfig
from services.notifications.channel_types.inbox import InboxChannel
from services.notifications.channel_types.syslog import MAX_BYTES, SyslogChannel, SyslogConfig
from services.notifications.deliveries.retry_policy import seconds_to_retry
from shared.errors import InvalidInput
from shared.settings import load_settings
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

HOSTILE = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.differing_executors,
    ],
)
_RFC_5424 = re.compile(rb"<(\d{1,3})>1 (\S+) (\S+) (\S+) (\S+) (\S+) - ", re.ASCII)


class _Collector(asyncio.Protocol):
    """Reads frames as RFC 6587 counts them, and refuses what RFC 5424 does not allow."""

    def __init__(self, frames):
        self.transport = None
        self.frames = frames
        self.rest = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.rest += data
        while match := re.match(rb"([1-9][0-9]*) ", self.rest):
            end = match.end() + int(match[1])
            if len(self.rest) < end:
                return
            self.frames.append(self.rest[match.end() : end])
            self.rest = self.rest[end:]


def _wait_for(frames, count):
    for _ in range(500):
        if len(frames) >= count:
            return frames[:count]
        asyncio.run(asyncio.sleep(0.01))
    raise AssertionError(f"only {len(frames)} frames")


class TestSyslog(ChannelContract):
    @pytest.fixture
    def kind(self):
        return SyslogChannel()

    @pytest.fixture
    def frames(self):
        return []

    @pytest.fixture
    def certificate(self, tmp_path):
        return loopback_certificate(tmp_path)

    @pytest.fixture
    def port(self, frames, certificate):
        with serving(lambda: _Collector(frames), certificate[0]) as port:
            yield port

    @pytest.fixture(params=["rfc5424", "cef"])
    def config(self, port, certificate, request):
        return {
            "host": "127.0.0.1",
            "port": port,
            "authorities": certificate[1],
            "format": request.param,
        }

    @pytest.fixture
    def sent_texts(self, frames):
        # The last frame may still be on its way.
        return lambda: [frame.decode() for frame in _wait_for(frames, max(1, len(frames)))]

    def test_a_repetition_is_recognisable(self, kind, config, frames):
        message = notification()
        for again in (message, replace(message)):
            assert send(kind, config, again).error is None
        assert all(str(message.id).encode() in frame for frame in _wait_for(frames, 2))

    @HOSTILE
    @given(message=notifications())
    def test_hostile_messages_are_whole_lines(self, kind, config, frames, message):
        frames.clear()
        assert send(kind, config, message).error is None
        [frame] = _wait_for(frames, 1)
        assert len(frame) <= MAX_BYTES
        head = _RFC_5424.match(frame)
        assert head
        assert int(head[1]) <= 191
        body = frame[head.end() :].decode()
        assert not set(body) & set("\r\n\x00\u2028")
        shown = kind.render(message, SyslogConfig(**config)).shown_count
        rest = wording.left_out(message, shown)
        if config["format"] == "rfc5424":
            document = json.loads(body)
            assert len(document["matches"]) == shown
            assert document["left_out"] == rest
        else:
            header = re.split(r"(?<!\\)(?:\\\\)*\|", body, maxsplit=7)
            assert header[0] == "CEF:0"
            assert 0 <= int(header[6]) <= 10
            assert rest in body
            assert re.sub(r"\\[\\=]", "", header[7]).count("=") == 6

    def test_a_certificate_of_others_is_refused(self, kind, config, frames):
        result = send(kind, config | {"authorities": None}, notification())
        assert result.error is not None
        assert not result.is_unknown
        assert frames == []

    def test_a_closed_port_is_tried_again(self, kind, config):
        result = send(kind, config | {"port": 1}, notification())
        assert seconds_to_retry(result.error, 1) is not None

    def test_a_forbidden_receiver_is_refused(self, kind, config):
        with pytest.raises(InvalidInput):
            asyncio.run(kind.check(SyslogConfig(**config | {"host": "10.0.0.8"}), ALLOW))


class TestFile(ChannelContract):
    @pytest.fixture
    def kind(self):
        return FileChannel()

    @pytest.fixture
    def folder(self, tmp_path, monkeypatch):
        # A process has settings that these channels do not read.
        monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/none")
        monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:1/0")
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
        monkeypatch.setenv("SENTINELIQ_SECRET_KEY", "k" * 40)
        monkeypatch.setenv("SENTINELIQ_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("SENTINELIQ_NOTIFICATION_FOLDER", str(tmp_path))
        load_settings.cache_clear()
        yield tmp_path / "tenant-acme"
        monkeypatch.undo()
        load_settings.cache_clear()

    @pytest.fixture
    def config(self, folder):
        return {"name": f"{folder.name}.jsonl"}

    @pytest.fixture
    def sent_texts(self, folder, config):
        return lambda: (folder / config["name"]).read_text().splitlines()

    @HOSTILE
    @given(message=notifications())
    def test_each_message_is_a_line(self, kind, config, folder, message):
        (folder / config["name"]).unlink(missing_ok=True)
        assert send(kind, config, message).error is None
        [line] = (folder / config["name"]).read_bytes().split(b"\n")[:-1]
        document = json.loads(line)
        assert document["id"] == str(message.id)
        assert len(document["matches"]) == len(message.matches)

    def test_a_line_that_is_there_is_not_written_again(self, kind, config, folder):
        message = notification()
        for is_repetition in (False, True, True):
            result = send(kind, config, message, is_repetition=is_repetition)
            assert result.error is None
        assert len((folder / config["name"]).read_text().splitlines()) == 1

    def test_a_line_goes_behind_the_end_of_half_a_line(self, kind, config, folder):
        folder.mkdir()
        half = b'{"id": "of a worker that was killed'
        (folder / config["name"]).write_bytes(half)
        message = notification()
        assert send(kind, config, message).error is None
        first, line, rest = (folder / config["name"]).read_bytes().split(b"\n")
        assert (first, rest) == (half, b"")
        assert json.loads(line)["id"] == str(message.id)

    def test_a_worker_waits_until_another_has_written(self, kind, config, folder, monkeypatch):
        folder.mkdir()
        path = folder / config["name"]
        monkeypatch.setattr(file, "_LOCK_SECONDS", 0.1)
        with path.open("ab") as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            error = send(kind, config, notification()).error
            assert seconds_to_retry(error, 1) is not None
            assert path.read_bytes() == b""
            monkeypatch.setattr(file, "_LOCK_SECONDS", 30.0)
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(send, kind, config, notification())
                time.sleep(0.3)
                # What a short write and its repair do: nobody's line may be between.
                other.write(b"half a li")
                other.flush()
                other.truncate(0)
                fcntl.flock(other, fcntl.LOCK_UN)
                assert waiting.result(timeout=30).error is None
        [line] = path.read_bytes().splitlines()
        assert json.loads(line)

    def test_a_pipe_is_not_written_to(self, kind, config, folder):
        folder.mkdir()
        os.mkfifo(folder / config["name"])
        assert send(kind, config, notification()).error is not None

    def test_links_are_not_written_to(self, kind, config, folder, tmp_path):
        folder.mkdir()
        victim = tmp_path / "victim"
        victim.write_text("mine")
        (folder / config["name"]).symlink_to(victim)
        assert send(kind, config, notification()).error is not None
        assert victim.read_text() == "mine"

    @pytest.mark.parametrize("tenant", ["../..", "a/b", ".", "\x00", "é"])
    def test_a_tenant_stays_in_its_folder(self, kind, config, folder, tenant):
        assert send(kind, config, replace(notification(), tenant=tenant)).error is None
        [path] = folder.parent.rglob("*.jsonl")
        assert path.parent.parent == folder.parent

    @pytest.mark.parametrize("name", ["../x.jsonl", "/etc/passwd", "a/b.jsonl", ".jsonl", "x", ""])
    def test_a_bad_name_is_refused(self, name):
        with pytest.raises(ValueError, match="1 validation error"):
            FileConfig(name=name)

    def test_without_the_operators_folder_there_are_no_files(self, kind, folder, monkeypatch):
        assert folder
        monkeypatch.delenv("SENTINELIQ_NOTIFICATION_FOLDER")
        load_settings.cache_clear()
        with pytest.raises(InvalidInput, match="SENTINELIQ_NOTIFICATION_FOLDER"):
            asyncio.run(kind.check(FileConfig(name="x.jsonl"), ALLOW))


class TestInbox(ChannelContract):
    @pytest.fixture
    def kind(self):
        return InboxChannel()

    @pytest.fixture
    def config(self):
        return {}

    def test_it_sends_id_and_link(self, kind, config):
        message = notification({"value": "http://a.example/"})
        text = kind.render(message, kind.config(**config)).parts[0].decode()
        assert str(message.id) in text
        assert message.url in text

    def test_a_repetition_is_recognisable(self, kind, config):
        message = replace(notification(), id=uuid4())
        references = {send(kind, config, message).reference for _ in range(2)}
        assert references == {str(message.id)}

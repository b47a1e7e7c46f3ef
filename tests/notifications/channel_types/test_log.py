"""The log channel."""

import json

import pytest
import structlog

from services.notifications.channel_types.log import LogChannel
from tests.notifications.channel_types.contract import ChannelContract


class TestLog(ChannelContract):
    @pytest.fixture
    def kind(self):
        return LogChannel()

    @pytest.fixture
    def config(self):
        return {}

    @pytest.fixture
    def sent_texts(self):
        with structlog.testing.capture_logs() as lines:
            yield lambda: [json.dumps(line) for line in lines if line["event"] == "notification"]

"""Channels to chats: Slack, Teams, Discord, Telegram, Mattermost."""

from dataclasses import replace

import pytest

from services.notifications.channel_types.discord import DiscordChannel
from services.notifications.channel_types.mattermost import MattermostChannel
from services.notifications.channel_types.slack import SlackChannel
from services.notifications.channel_types.slack_bot import SlackBotChannel
from services.notifications.channel_types.teams import TeamsChannel
from services.notifications.channel_types.telegram import TelegramChannel
from services.notifications.deliveries.retry_policy import seconds_to_retry
from tests.notifications.channel_types.contract import notification, send
from tests.notifications.channel_types.vendor_contract import VendorContract
from tests.notifications.channel_types.vendor_server import Refused
from tests.notifications.channel_types.vendors import (
    DiscordVendor,
    MattermostVendor,
    SlackVendor,
    TeamsVendor,
    TelegramVendor,
)

TOKEN = "123:" + "a" * 35


class _WebhookContract(VendorContract):
    @pytest.fixture
    def config(self):
        return {}

    @pytest.fixture
    def credentials(self, vendor):
        return {"url": f"{vendor.url}/hook/secret"}


class TestSlack(_WebhookContract):
    vendor_type = SlackVendor

    @pytest.fixture
    def kind(self):
        return SlackChannel()


class TestTeams(_WebhookContract):
    vendor_type = TeamsVendor

    @pytest.fixture
    def kind(self):
        return TeamsChannel()


class TestDiscord(_WebhookContract):
    vendor_type = DiscordVendor

    @pytest.fixture
    def kind(self):
        return DiscordChannel()


class TestMattermost(_WebhookContract):
    vendor_type = MattermostVendor

    @pytest.fixture
    def kind(self):
        return MattermostChannel()


class TestSlackBot(VendorContract):
    vendor_type = SlackVendor

    @pytest.fixture
    def kind(self):
        return SlackBotChannel()

    @pytest.fixture
    def config(self, vendor):
        return {"channel": "C024BE91L", "url": vendor.url}

    @pytest.fixture
    def credentials(self):
        return {"token": "xoxb-test-token"}

    def test_updates_stand_in_the_thread_of_the_opening(self, kind, config, credentials, vendor):
        opening = notification({"type": "url", "value": "http://a.example/"})
        receipt = send(kind, config, opening, credentials=credentials).reference
        for news in ("update", "reminder", "close"):
            later = replace(notification(), kind=news, receipt=receipt, match_count=3)
            assert send(kind, config, later, credentials=credentials).error is None
        threads = [request.document.get("thread_ts") for request in vendor.accepted]
        assert threads == [None, receipt, receipt, receipt]

    def test_a_cut_off_answer_in_a_thread_is_found(self, kind, config, credentials, vendor):
        receipt = send(kind, config, notification(), credentials=credentials).reference
        vendor.hangs_up = True
        later = replace(notification(), kind="update", receipt=receipt)
        assert send(kind, config, later, credentials=credentials).is_unknown
        again = send(kind, config, later, credentials=credentials, is_repetition=True)
        assert again.error is None
        assert vendor.incidents == 2

    def test_what_slack_refuses_is_no_success(self, kind, config, vendor):
        result = send(kind, config, notification(), credentials={"token": "xoxb-another-token"})
        assert "invalid_auth" in result.error.message
        assert seconds_to_retry(result.error, 1) is None
        assert vendor.accepted == []


class TestTelegram(VendorContract):
    vendor_type = TelegramVendor

    @pytest.fixture
    def kind(self):
        return TelegramChannel()

    @pytest.fixture
    def config(self, vendor):
        return {"chat": "-1001", "url": vendor.url}

    @pytest.fixture
    def credentials(self):
        return {"token": TOKEN}

    def test_updates_answer_the_opening(self, kind, config, credentials, vendor):
        receipt = send(kind, config, notification(), credentials=credentials).reference
        later = replace(notification(), kind="update", receipt=receipt)
        assert send(kind, config, later, credentials=credentials).error is None
        parameters = vendor.accepted[1].document["reply_parameters"]
        assert parameters["message_id"] == int(receipt)

    def test_the_wait_that_telegram_asks_for_is_kept(self, kind, config, credentials, vendor):
        def refuse(_request):
            raise Refused(429, {"ok": False, "parameters": {"retry_after": 37}})

        vendor.answer = refuse
        result = send(kind, config, notification(), credentials=credentials)
        assert result.error.retry_after == 37
        assert seconds_to_retry(result.error, 1) >= 37

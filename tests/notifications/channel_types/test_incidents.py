"""Channels to alerts, tickets and cases: a group has one, however often it is told."""

from dataclasses import replace
from uuid import uuid4

import pytest

from services.notifications.channel_types.iris import IrisChannel
from services.notifications.channel_types.jira import JiraChannel
from services.notifications.channel_types.jsm import JsmChannel
from services.notifications.channel_types.misp import MispChannel
from services.notifications.channel_types.pagerduty import PagerDutyChannel
from services.notifications.channel_types.thehive import TheHiveChannel
from services.notifications.deliveries.retry_policy import seconds_to_retry
from tests.notifications.channel_types.contract import notification, send
from tests.notifications.channel_types.vendor_contract import VendorContract
from tests.notifications.channel_types.vendor_server import Refused
from tests.notifications.channel_types.vendors import (
    IrisVendor,
    JiraVendor,
    JsmVendor,
    MispVendor,
    PagerDutyVendor,
    TheHiveVendor,
)

KEY = {"api_key": "key-0123456789"}
MATCH = {"id": "url--1", "type": "url", "value": "http://a.example/", "kind": "new", "score": 90}


class IncidentContract(VendorContract):
    """A group has one incident from its opening to its end."""

    @pytest.fixture
    def credentials(self):
        return KEY

    @pytest.fixture
    def config(self, vendor):
        return {"url": vendor.url}

    def test_a_group_is_one_incident(self, kind, config, credentials, vendor):
        group = uuid4()
        opening = replace(notification(MATCH), group_id=group)
        receipt = send(kind, config, opening, credentials=credentials).reference
        assert receipt
        for news in ("update", "reminder", "close"):
            later = replace(
                notification({**MATCH, "value": f"http://{news}.example/"}),
                kind=news,
                group_id=group,
                receipt=receipt,
                total_count=5,
            )
            assert send(kind, config, later, credentials=credentials).error is None, news
        assert vendor.incidents == 1
        assert len(vendor.accepted) == 4

    def test_a_wrong_key_is_tried_again_a_refused_document_is_not(
        self, kind, config, credentials, vendor
    ):
        for status, may_repeat in ((401, True), (503, True), (400, False), (422, False)):

            def refuse(_request, status=status):
                raise Refused(status, {"message": "no"})

            vendor.answer = refuse
            result = send(kind, config, notification(MATCH), credentials=credentials)
            assert result.status == status
            assert (seconds_to_retry(result.error, 1) is not None) is may_repeat
            assert result.answer == '{"message": "no"}'


class TestPagerDuty(IncidentContract):
    vendor_type = PagerDutyVendor

    @pytest.fixture
    def kind(self):
        return PagerDutyChannel()

    @pytest.fixture
    def credentials(self):
        return {"routing_key": "k" * 32}

    def test_the_end_of_a_group_resolves_its_incident(self, kind, config, credentials, vendor):
        group = uuid4()
        for news in ("open", "close"):
            message = replace(notification(MATCH), kind=news, group_id=group)
            assert send(kind, config, message, credentials=credentials).error is None
        assert vendor.states == {str(group): "resolve"}


class TestJsm(IncidentContract):
    vendor_type = JsmVendor

    @pytest.fixture
    def kind(self):
        return JsmChannel()


class _JiraContract(IncidentContract):
    vendor_type = JiraVendor
    api = "3"

    @pytest.fixture
    def kind(self):
        return JiraChannel()

    @pytest.fixture
    def config(self, vendor):
        return {"url": vendor.url, "project": "SEC", "api": self.api, "close_transition": "31"}

    @pytest.fixture
    def credentials(self):
        return {"user": "bot@example.com", "token": "token-1234567"}

    def test_the_end_of_a_group_closes_its_issue(self, kind, config, credentials, vendor):
        receipt = send(kind, config, notification(MATCH), credentials=credentials).reference
        message = replace(notification(), kind="close", receipt=receipt)
        assert send(kind, config, message, credentials=credentials).error is None
        assert vendor.issues[0]["transition"] == "31"

    def test_a_cut_off_answer_makes_no_second_comment(self, kind, config, credentials, vendor):
        receipt = send(kind, config, notification(MATCH), credentials=credentials).reference
        vendor.hangs_up = True
        later = replace(notification(MATCH), kind="update", receipt=receipt)
        assert send(kind, config, later, credentials=credentials).is_unknown
        again = send(kind, config, later, credentials=credentials, is_repetition=True)
        assert again.error is None
        assert len(vendor.issues[0]["comments"]) == 1


class TestJiraCloud(_JiraContract):
    pass


class TestJiraDataCenter(_JiraContract):
    api = "2"

    @pytest.fixture
    def credentials(self):
        return {"token": "token-1234567"}


class TestTheHive(IncidentContract):
    vendor_type = TheHiveVendor

    @pytest.fixture
    def kind(self):
        return TheHiveChannel()


class TestIris(IncidentContract):
    vendor_type = IrisVendor

    @pytest.fixture
    def kind(self):
        return IrisChannel()

    @pytest.fixture
    def config(self, vendor):
        return {"url": vendor.url, "customer_id": 1}


class TestMisp(IncidentContract):
    vendor_type = MispVendor

    @pytest.fixture
    def kind(self):
        return MispChannel()

    @pytest.fixture
    def credentials(self):
        return {"api_key": "k" * 40}

    def check_counts(self, kind, config, message, text):  # noqa: ARG002  # as inherited
        """Attributes carry the values themselves: another platform reads them."""
        for match in message.matches:
            if match.get("value", "").strip():
                assert match["value"] in text
        assert (f"{message.match_count - len(message.matches):,} of " in text) is (
            message.match_count > len(message.matches)
        )

    def test_an_update_adds_attributes_once(self, kind, config, credentials, vendor):
        group = uuid4()
        opening = replace(notification(MATCH), group_id=group)
        receipt = send(kind, config, opening, credentials=credentials).reference
        later = replace(
            notification({**MATCH, "value": "http://b.example/"}),
            kind="update",
            group_id=group,
            receipt=receipt,
        )
        for _ in range(2):
            assert send(kind, config, later, credentials=credentials).error is None
        [attributes] = vendor.events.values()
        values = sorted(each["value"] for each in attributes.values() if each["type"] == "url")
        assert values == ["http://a.example/", "http://b.example/"]

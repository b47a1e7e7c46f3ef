"""The contract of channels to vendors, against a server that enforces what the vendor documents."""

import os
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings

from services.notifications.channel_types import ChannelType, Notification, wording
from services.notifications.channel_types.base import FindingChannel, RecognisingChannel
from tests.notifications.channel_types.contract import ChannelContract, notification, send
from tests.notifications.channel_types.hostile import notifications
from tests.notifications.channel_types.vendor_server import Vendor, running

EXAMPLES = int(os.environ.get("HOSTILE_MESSAGES", "60"))
"""Messages of each vendor; CI's long run sets 2,000."""


class VendorContract(ChannelContract):
    """The tests; a subclass gives `vendor_type`, `kind`, `config` and `credentials`."""

    vendor_type: ClassVar[type[Vendor]]

    @pytest.fixture
    def vendor(self) -> Iterator[Vendor]:
        with running(self.vendor_type) as vendor:
            yield vendor

    @pytest.fixture
    def sent_texts(self, vendor: Vendor) -> Any:
        return lambda: [vendor.visible(request) for request in vendor.accepted]

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
            HealthCheck.differing_executors,
        ],
    )
    @given(message=notifications())
    def test_hostile_messages_are_accepted_whole_and_ping_nobody(
        self,
        kind: Any,
        config: dict[str, Any],
        credentials: dict[str, Any],
        vendor: Vendor,
        message: Notification,
    ) -> None:
        vendor.forget()
        result = send(kind, config, message, credentials=credentials)
        assert result.error is None, result
        request = vendor.accepted[-1]
        assert vendor.pings(request) == []
        text = vendor.visible(request)
        assert message.url in text.replace("%28", "(").replace("%29", ")")
        assert str(message.id) in text
        if message.text is None:
            self.check_counts(kind, config, message, text)

    def check_counts(
        self, kind: Any, config: dict[str, Any], message: Notification, text: str
    ) -> None:
        """What is shown and what is left out add up to all."""
        shown = kind.render(message, kind.config.model_validate(config)).shown_count
        for entry in wording.entries(message)[:shown]:
            assert entry.value.replace("`", "\u02cb") in text.replace("`", "\u02cb")
        rest = message.match_count - shown
        assert (f"{rest:,} of " in text) is (rest > 0)

    def test_an_answer_that_is_cut_off_makes_no_second_message(
        self, kind: Any, config: dict[str, Any], credentials: dict[str, Any], vendor: Vendor
    ) -> None:
        message = notification({"type": "url", "value": "http://a.example/", "kind": "new"})
        vendor.hangs_up = True
        result = send(kind, config, message, credentials=credentials)
        assert result.error is not None
        assert result.is_unknown
        assert vendor.incidents == 1
        again = send(kind, config, message, credentials=credentials, is_repetition=True)
        assert again.error is None
        if isinstance(kind, FindingChannel) or self._recognises(kind):
            assert vendor.incidents == 1
            assert not again.is_maybe_repeated
        else:
            # The vendor offers no way: the ledger says so.
            assert again.is_maybe_repeated

    def _recognises(self, kind: ChannelType[Any]) -> bool:
        return isinstance(kind, RecognisingChannel) and kind.recognises_repeats

    def test_missing_credentials_are_a_result(self, kind: Any, config: dict[str, Any]) -> None:
        result = send(kind, config, notification())
        assert result.error is not None
        assert result.error.details["field"] == "credentials"

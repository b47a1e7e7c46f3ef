"""The contract of every kind of channel.

Subclass `ChannelContract` and give the fixtures `kind`, `config` and `sent_texts`.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from services.notifications.channel_types import ChannelType, Notification, channel_types
from services.notifications.channel_types.attempt import AttemptResult, attempt, channel_client
from services.notifications.deliveries.retry_policy import seconds_to_retry

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ALLOW = (ip_network("127.0.0.0/8"),)
HOSTILE = {
    "id": "url--1",
    "type": "url",
    "value": "http://ä.example/\"'\n\u2028<script>{{7*7}}",
    "kind": "new",
    "score": 99,
}


def notification(*matches: dict[str, Any]) -> Notification:
    return Notification(
        id=uuid4(),
        tenant="acme",
        rule_id=uuid4(),
        rule='High "score"',
        source="ipsum",
        match_count=len(matches),
        matches=list(matches),
        created_at=datetime.now(UTC),
        url="http://127.0.0.1:8003/v1/deliveries/x",
    )


def send(  # the arguments of an attempt
    kind: ChannelType[Any],
    config: dict[str, Any],
    message: Notification,
    seconds: float = 5.0,
    *,
    credentials: dict[str, Any] | None = None,
    is_repetition: bool = False,
) -> AttemptResult:
    secret = SECRET if kind.signs else None
    if credentials is not None:
        secret = json.dumps(credentials)

    async def send_once() -> AttemptResult:
        async with channel_client(ALLOW) as outbound:
            return await attempt(
                kind, config, secret, message, outbound, seconds, is_repetition=is_repetition
            )

    return asyncio.run(send_once())


class ChannelContract:
    """The tests; `sent_texts` gives the texts that the receiver got.

    A kind that needs credentials gives the fixture `credentials`.
    """

    @pytest.fixture
    def credentials(self) -> dict[str, Any] | None:
        return None

    def test_it_is_registered_under_its_name(self, kind: ChannelType[Any]) -> None:
        assert type(channel_types()[kind.name]) is type(kind)

    def test_its_configuration_is_strict_and_survives_storage(
        self, kind: ChannelType[Any], config: dict[str, Any]
    ) -> None:
        valid = kind.config.model_validate(config)
        assert (
            kind.config.model_validate(json.loads(json.dumps(valid.model_dump(mode="json"))))
            == valid
        )
        with pytest.raises(ValidationError):
            kind.config.model_validate(config | {"unknown": "option"})
        asyncio.run(kind.check(valid, ALLOW))

    @pytest.mark.parametrize("matches", [0, 1, 50])
    def test_it_sends_id_and_link(
        self,
        kind: ChannelType[Any],
        config: dict[str, Any],
        credentials: dict[str, Any] | None,
        sent_texts: Callable[[], list[str]],
        matches: int,
    ) -> None:
        message = notification(*[HOSTILE] * matches)
        assert send(kind, config, message, credentials=credentials).error is None
        [text] = sent_texts()
        assert str(message.id) in text
        assert message.url in text
        assert SECRET not in text

    def test_a_repetition_is_recognisable(
        self,
        kind: ChannelType[Any],
        config: dict[str, Any],
        credentials: dict[str, Any] | None,
        sent_texts: Callable[[], list[str]],
    ) -> None:
        message = notification(HOSTILE)
        for again in (message, replace(message)):
            assert send(kind, config, again, credentials=credentials).error is None
        texts = sent_texts()
        assert texts
        assert all(str(message.id) in text for text in texts)

    def test_a_broken_configuration_is_a_result_not_a_crash(self, kind: ChannelType[Any]) -> None:
        result = send(kind, {"unknown": "option"}, notification())
        assert result.error is not None
        assert seconds_to_retry(result.error, 1) is None

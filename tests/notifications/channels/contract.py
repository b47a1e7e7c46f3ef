"""What every kind of channel keeps: subclass, and give the fixtures `kind`, `config` and `told`."""

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

from services.notifications.channel_types import ChannelKind, Notification, kinds
from services.notifications.deliveries.attempt import Outcome, attempt, client

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


def tell(
    kind: ChannelKind[Any], config: dict[str, Any], what: Notification, seconds: float = 5.0
) -> Outcome:
    async def once() -> Outcome:
        async with client(ALLOW) as outbound:
            return await attempt(
                kind, config, SECRET if kind.signs else None, what, outbound, seconds
            )

    return asyncio.run(once())


class ChannelContract:
    """The tests; `told` gives the texts the other side got."""

    def test_it_is_registered_under_its_name(self, kind: ChannelKind[Any]) -> None:
        assert type(kinds()[kind.name]) is type(kind)

    def test_its_configuration_is_strict_and_survives_storage(
        self, kind: ChannelKind[Any], config: dict[str, Any]
    ) -> None:
        valid = kind.config.model_validate(config)
        assert (
            kind.config.model_validate(json.loads(json.dumps(valid.model_dump(mode="json"))))
            == valid
        )
        with pytest.raises(ValidationError):
            kind.config.model_validate(config | {"unheard": "of"})
        asyncio.run(kind.check(valid, ALLOW))

    @pytest.mark.parametrize("matches", [0, 1, 50])
    def test_it_tells_what_it_is_about(
        self,
        kind: ChannelKind[Any],
        config: dict[str, Any],
        told: Callable[[], list[str]],
        matches: int,
    ) -> None:
        what = notification(*[HOSTILE] * matches)
        assert tell(kind, config, what).error is None
        [text] = told()
        assert str(what.id) in text
        assert what.url in text
        assert SECRET not in text

    def test_a_repetition_is_recognisable(
        self, kind: ChannelKind[Any], config: dict[str, Any], told: Callable[[], list[str]]
    ) -> None:
        what = notification(HOSTILE)
        for again in (what, replace(what)):
            assert tell(kind, config, again).error is None
        assert [str(what.id) in text for text in told()] == [True, True]

    def test_a_broken_configuration_is_an_outcome_not_a_crash(self, kind: ChannelKind[Any]) -> None:
        outcome = tell(kind, {"unheard": "of"}, notification())
        assert outcome.error is not None
        assert outcome.wait(1) is None

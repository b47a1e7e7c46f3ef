"""The contract of remote enrichers, tested against a real HTTP server.

The test of an enricher inherits it and brings responses in the provider's real layout.
"""

import asyncio
import json
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any, ClassVar

import pytest

from services.observables.enrichment.execution.provider_call import (
    Answered,
    CallOutcome,
    Failed,
    KeyRefused,
    OverQuota,
    call_provider,
)
from services.observables.providers.base import Finding, InvalidAnswer, Query, RemoteEnricher
from shared.http import GuardedClient
from shared.stix import ObservableType, normalise
from tests.observables.providers.provider import Provider, Reply, running_provider

SECRET = "s3cr3t-of-the-tenant"
GARBAGE = (
    b"",
    b"\x00\xff\xfe",
    b"<html><body>Service is being updated</body></html>",
    b'{"cut": [1, 2',
    b"[[[[1]]]]",
)


class RemoteContract:
    """Inherit it, and state the query, the response, and the finding in the response."""

    enricher: ClassVar[type[RemoteEnricher]]
    query: ClassVar[Query]
    """The query that the answer below is about."""
    answer: ClassVar[bytes | dict[str, Any] | list[Any]]
    """An answer in the provider's documented layout, with content that providers really send."""
    facts: ClassVar[dict[str, Any]]
    """All facts that the enricher reads in it."""
    weights: ClassVar[list[float]] = []
    """The weights in the order of the finding's."""
    related: ClassVar[list[tuple[str, str, str]]] = []
    """Kind, type and value of each relation; `<` before the kind of one that goes inward."""
    unknown: ClassVar[Reply] = Reply(404)
    """The provider's answer about a value that it does not know."""
    method: ClassVar[str] = "GET"
    path: ClassVar[str]
    """The path of the request, below the base URL."""
    params: ClassVar[dict[str, str]] = {}
    """Every parameter of the query string; a key is `SECRET`."""
    headers: ClassVar[dict[str, str]] = {}
    """Headers that must be sent, among others; names in lower case."""
    body: ClassVar[bytes | None] = None

    @pytest.fixture
    def provider(self) -> Iterator[Provider]:
        with running_provider() as provider:
            yield provider

    @classmethod
    def key(cls) -> dict[str, str]:
        return dict.fromkeys(cls.enricher.key_fields, SECRET)

    @classmethod
    def encoded(cls) -> bytes:
        return cls.answer if isinstance(cls.answer, bytes) else json.dumps(cls.answer).encode()

    def ask(self, provider: Provider, reply: Reply, **changed: Any) -> CallOutcome:
        """Call the provider, which sends the reply; `changed` are attributes of the enricher."""
        enricher = type("Changed", (self.enricher,), changed)() if changed else self.enricher()
        provider.reply = reply

        async def once() -> CallOutcome:
            async with GuardedClient(allow=(ip_network("127.0.0.0/8"),)) as client:
                return await call_provider(enricher, self.query, self.key(), client, provider.base)

        return asyncio.run(once())

    def finding(self, provider: Provider, answer: Any = None) -> Finding:
        """The finding in an answer; by default in the documented enricher."""
        body = self.encoded() if answer is None else json.dumps(answer).encode()
        outcome = self.ask(provider, Reply(body=body))
        assert isinstance(outcome, Answered), outcome
        assert outcome.finding is not None
        assert outcome.raw == body
        return outcome.finding

    def test_it_describes_itself(self):
        enricher = self.enricher()
        assert enricher.name.isidentifier()
        assert enricher.name == enricher.name.lower()
        assert enricher.title
        assert enricher.documentation.startswith("https://")
        assert enricher.base_url.startswith("https://")
        assert not enricher.base_url.endswith("/")
        assert enricher.types <= {str(type_) for type_ in ObservableType}
        assert enricher.types
        assert enricher.rate.calls > 0
        assert enricher.rate.seconds > 0
        assert enricher.concurrency > 0
        assert enricher.daily is None or enricher.daily >= enricher.rate.calls
        assert enricher.lifetime <= enricher.weights_lifetime

    @pytest.mark.parametrize("which", ["query", "test_query"])
    def test_its_queries_are_canonical_values_of_its_types(self, which: str):
        query: Query = self.query if which == "query" else self.enricher.test_query
        assert query.type in self.enricher.types
        assert normalise(query.type, query.value) == query.value
        assert self.enricher().applies(query)

    def test_the_request_is_the_documented_one(self, provider: Provider):
        self.finding(provider)
        (request,) = provider.requests
        assert (request.method, request.path, request.params) == (
            self.method,
            self.path,
            self.params,
        )
        assert request.headers.items() >= self.headers.items()
        assert request.body == (self.body or b"")

    def test_a_success_is_read_in_full(self, provider: Provider):
        finding = self.finding(provider)
        assert dict(finding.facts) == self.facts
        assert [weight.weight for weight in finding.weights] == pytest.approx(self.weights)
        related = [
            ("<" * relation.inward + relation.kind, relation.type, relation.value)
            for relation in finding.related
        ]
        assert related == self.related

    def test_weights_are_within_bounds_and_have_a_reason(self, provider: Provider):
        for weight in self.finding(provider).weights:
            assert -1 <= weight.weight <= 1
            assert weight.weight
            assert weight.reason.endswith(".")

    def test_unknown_is_an_answer(self, provider: Provider):
        outcome = self.ask(provider, self.unknown)
        assert isinstance(outcome, Answered), outcome
        assert outcome.finding is None

    def test_404_is_never_success(self, provider: Provider):
        outcome = self.ask(provider, Reply(404, b"not here"))
        assert not isinstance(outcome, Answered) or outcome.finding is None

    def test_no_status_means_two_things(self):
        enricher = self.enricher
        meanings = (enricher.unknown_statuses, enricher.over_quota_statuses, enricher.key_statuses)
        assert sum(map(len, meanings)) == len(frozenset().union(*meanings))
        assert all(meanings[1:])

    def test_a_key_that_is_refused(self, provider: Provider):
        for status in sorted(self.enricher.key_statuses):
            outcome = self.ask(provider, Reply(status, b"no"))
            assert isinstance(outcome, KeyRefused), status
            assert str(status) in outcome.error.message

    def test_over_quota_says_how_long(self, provider: Provider):
        for status in sorted(self.enricher.over_quota_statuses):
            assert self.ask(provider, Reply(status, headers={"Retry-After": "37"})) == OverQuota(
                37.0
            ), status
            assert self.ask(provider, Reply(status)) == OverQuota(None), status

    @pytest.mark.parametrize("status", [500, 502, 503])
    def test_a_provider_in_trouble(self, provider: Provider, status: int):
        outcome = self.ask(provider, Reply(status, b"oops"))
        assert isinstance(outcome, Failed)
        assert outcome.error.retryable

    def test_a_provider_that_does_not_answer_in_time(self, provider: Provider):
        outcome = self.ask(provider, Reply(body=self.encoded(), delay=0.6), timeout=0.2)
        assert isinstance(outcome, Failed)
        assert outcome.error.retryable

    @pytest.mark.parametrize("body", GARBAGE)
    def test_garbage_is_never_success(self, provider: Provider, body: bytes):
        outcome = self.ask(provider, Reply(body=body))
        assert isinstance(outcome, Failed) or (
            isinstance(outcome, Answered) and outcome.finding is None
        ), outcome

    def test_a_garbled_answer_is_named(self, provider: Provider):
        outcome = self.ask(
            provider, Reply(body=b"<html><body>Service is being updated</body></html>")
        )
        if isinstance(outcome, Failed):
            assert isinstance(outcome.error, InvalidAnswer)

    def test_ten_megabytes_are_refused(self, provider: Provider):
        outcome = self.ask(provider, Reply(body=b'{"a": "' + b"a" * 10_000_000 + b'"}'))
        assert isinstance(outcome, Failed)
        assert "larger than" in outcome.error.message

    def test_the_key_is_in_no_message(self, provider: Provider):
        for reply in (
            Reply(401, SECRET.encode()),
            Reply(500, SECRET.encode()),
            Reply(body=SECRET.encode()),
        ):
            outcome = self.ask(provider, reply)
            assert SECRET not in repr(outcome)

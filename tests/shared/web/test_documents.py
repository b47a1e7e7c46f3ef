"""Requests made from the OpenAPI documents, as they allow and as they do not.

An answer that a document does not tell of, a request that it allows and the API refuses, or the
other way round, is a mistake of the document or of the API.
"""

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, FailureGroup
from schemathesis.schemas import APIOperation
from starlette.testclient import TestClient

from shared.settings import SERVICES, Settings

ClientFor = Callable[..., TestClient]

SHORT_CASES = 100
LONG_CASES = int(os.environ.get("SENTINELIQ_API_CASES", "400"))
"""`make api-cases` sends 2,000 to each API, which takes too long for each change."""
_UPSTREAM = ("/v1/preview",)
"""Routes that answer 502 when another system fails."""
_CONFIG: dict[str, Any] = {
    # Every request has a valid token, but for those with which a check looks for the refusal.
    "generation": {"with-security-parameters": False},
    "checks": {
        # `refuses_by_rule_only` says the same, but for the rules that a schema cannot tell.
        "positive_data_acceptance": {"enabled": False},
        "negative_data_rejection": {
            "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "422", "429"]
        },
    },
    "operations": [
        {
            "include-path": path,
            "checks": {"not_a_server_error": {"expected-statuses": ["2xx", "4xx", "502"]}},
        }
        for path in _UPSTREAM
    ],
}


def refuses_by_rule_only(_context: CheckContext, response: Response, case: Case) -> None:
    """What a document allows is refused by rules between fields and about contents only.

    The validation of types and bounds names all wrong fields in `errors`; a rule names one, or is
    a validator of ours, whose errors Pydantic calls value errors.
    """
    is_valid = case.meta is not None and case.meta.generation.mode is GenerationMode.POSITIVE
    if is_valid and response.status_code in {400, 413, 415, 422}:
        errors = response.json().get("errors", [])
        assert all(error["message"].startswith("Value error") for error in errors), response.text


def list_failures(client: TestClient, cases: int) -> list[str]:
    """What is wrong with an API or its document, the first of each kind.

    Args:
        client: of an operator.
        cases: how many requests are made, half of them as the document does not allow.
    """
    config = SchemathesisConfig.from_dict(_CONFIG)
    document = schemathesis.openapi.from_asgi("/openapi.json", client.app, config=config)
    operations = [operation.ok() for operation in document.get_all_operations()]
    share = math.ceil(cases / len(operations) / len(GenerationMode))
    failures: dict[str, str] = {}
    for operation in operations:
        for mode in GenerationMode:
            _send_cases(operation, mode, client, share, failures)
    return [f"{kind}: {example}" for kind, example in sorted(failures.items())]


def _has_other_type(case: Case) -> bool:
    """Whether a value has another type than its schema says.

    Pydantic reads "7" as 7, and 1 as true; a document has no words for that.
    """
    return case.meta is not None and "violates `type`" in str(case.meta.phase.data)


def _send_cases(
    operation: APIOperation,
    mode: GenerationMode,
    client: TestClient,
    share: int,
    failures: dict[str, str],
) -> None:
    headers = {"Authorization": client.headers["authorization"]}

    @hypothesis_settings(
        max_examples=share,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Case) -> None:
        try:
            case.call_and_validate(headers=headers, additional_checks=[refuses_by_rule_only])
        except FailureGroup as group:
            for failure in group.exceptions:
                if isinstance(failure, AcceptedNegativeData) and _has_other_type(case):
                    continue
                kind = f"{operation.label}, {mode.name}, {type(failure).__name__}"
                failures.setdefault(kind, str(group))

    try:
        send()
    except Unsatisfiable:
        # There is nothing to get wrong where there is nothing to send.
        assert mode is GenerationMode.NEGATIVE, operation.label


@pytest.mark.parametrize("service", SERVICES)
def test_requests_made_from_a_document_are_answered_as_it_says(
    service: str, client_for: ClientFor, settings: Settings
) -> None:
    failures = list_failures(client_for(service, role="operator"), SHORT_CASES)
    assert not failures, "\n\n".join(failures)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("service", SERVICES)
def test_many_requests_made_from_a_document_are_answered_as_it_says(
    service: str, client_for: ClientFor, settings: Settings
) -> None:
    failures = list_failures(client_for(service, role="operator"), LONG_CASES)
    assert not failures, "\n\n".join(failures)

"""Problems in the form of TAXII's errors: TAXII 2.1 §3.6."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from services.observables.taxii.media_types import TAXII
from shared.errors import InvalidInput
from shared.web.dialects import Dialect, Translation

PREFIX: Final = "/taxii2"
_MAX_DESCRIPTION: Final = 2_000
_OWN_FIELDS: Final = frozenset({"type", "title", "status", "errors"})
_CHALLENGE: Final = 'Basic realm="TAXII", charset="UTF-8"'


class UnusableEnvelope(InvalidInput):
    """A posted document is no envelope of objects: TAXII has a status for it."""

    code: ClassVar[str] = "unusable-envelope"


def translate(status: int, problem: Mapping[str, Any]) -> Translation:
    """TAXII's error message for problem details.

    A wrong parameter is 400 in TAXII; 422 says that a posted document cannot be used.
    """
    code = str(problem.get("type", "")).rpartition(":")[2]
    if status == 422 and code != UnusableEnvelope.code:
        status = 400
    details = {name: str(value) for name, value in problem.items() if name not in _OWN_FIELDS}
    message: dict[str, Any] = {
        "title": code.replace("-", " ").capitalize() or "Error",
        "description": str(problem.get("title", ""))[:_MAX_DESCRIPTION],
        "error_code": code,
        "http_status": str(status),
    }
    if details:
        message["details"] = details
    headers = {"www-authenticate": _CHALLENGE} if status == 401 else {}
    return Translation(status, TAXII, msgspec.json.encode(message), headers)


DIALECT: Final = Dialect(PREFIX, translate)

"""The ids of observables by their values."""

from sentineliq.cli.client.api import Client
from sentineliq.cli.client.documents import ValueAnswer, decode
from shared.errors import NotFound


def resolve_id(client: Client, value: str) -> str:
    """The id of an observable by its value; a STIX id stays as it is.

    Raises:
        NotFound: nothing is stored about it.
    """
    if "--" in value:
        return value
    document = client.post("observables", "/v1/lookup", {"values": [value]})["items"][0]
    result = decode(ValueAnswer, document)
    if result.observable is None:
        raise NotFound(result.problem or f"there is no observable {value}")
    return result.observable.id

"""Follows the loading of an ATT&CK release, and describes the result."""

import time
from typing import Final

from sentineliq.cli import output
from sentineliq.cli.client.api import Client, Json
from sentineliq.cli.client.documents import AttackLoad, decode
from sentineliq.cli.client.follow_run import ONCE, RunFailed, RunUnfinished

_POLL: Final = 0.1


def follow_load(client: Client, document: Json, within: float = 600.0) -> Json:
    """Wait until a load has ended; returns it as it ended.

    Args:
        client: of the tenant `public`.
        document: the load as it was requested.
        within: seconds to wait for its end.

    Raises:
        RunFailed: it failed, with the place in the bundle; or it takes too long.
    """
    deadline = time.monotonic() + within
    load = decode(AttackLoad, document)
    while load.state in ("queued", "running"):
        if time.monotonic() > deadline:
            raise RunFailed(
                f"loading {load.name} is still {load.state}; `sentineliq doctor` may know why"
            )
        time.sleep(_POLL)
        document = client.get("mitre", f"/v1/loads/{load.id}")
        load = decode(AttackLoad, document)
    if load.state == "failed":
        raise RunFailed(f"{load.name}: {load.error or 'it failed without giving a reason'}")
    return document


def follow_load_briefly(client: Client, document: Json, seconds: float = ONCE) -> Json:
    """Wait for a load, and no longer than some seconds.

    Raises:
        RunFailed: it failed.
        RunUnfinished: it takes longer, or is tried again.
    """
    deadline = time.monotonic() + seconds
    load = decode(AttackLoad, document)
    while load.state in ("queued", "running") and time.monotonic() < deadline:
        time.sleep(_POLL)
        document = client.get("mitre", f"/v1/loads/{load.id}")
        load = decode(AttackLoad, document)
        if load.state == "queued" and load.error is not None:
            break
    if load.state not in ("queued", "running"):
        return follow_load(client, document)
    reason = f"{load.error}; it is tried again" if load.error else "it goes on"
    hint = f"`sentineliq mitre loads {load.id}` shows what comes of it"
    raise RunUnfinished(f"{load.name} is {load.state}: {reason}; {hint}")


def load_line(document: Json) -> str:
    """The result of a load as a line."""
    load = decode(AttackLoad, document)
    if load.state == "unchanged" or load.result is None:
        return f"{load.name}: the same as last time: nothing to do"
    result = load.result
    changes = {kind: count for kind, count in (result.changes or {}).items() if count}
    current = "it is the current release" if result.current else "a newer release stays current"
    return (
        f"{load.name}: {result.domain} {result.version}, {result.techniques:,} techniques "
        f"({output.format_counts(changes) or 'no changes'}); {current}"
    )

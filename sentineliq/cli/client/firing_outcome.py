"""What became of the task of a schedule's firing, in words."""

from sentineliq.cli.client.api import ApiProblem, Client, Json
from sentineliq.cli.client.documents import FeedRun, decode

_RUNS = "/v1/runs"


def outcome_of_firing(client: Client, firing: Json) -> str:
    """What became of a firing: its message, its task, or the run that the task has started.

    Args:
        client: of the firing's tenant.
        firing: as the API gives it.

    Raises:
        SentinelIQError: the feeds service does not answer.
    """
    outcome = firing.get("outcome")
    if outcome is None:
        return str(firing["state"])
    if outcome == "failed":
        return f"failed: {firing['reason'] or 'the log of the worker tells why'}"
    if firing.get("run_id") is None:
        return "still running" if outcome == "running" else str(outcome)
    try:
        run = decode(FeedRun, client.get("feeds", f"{_RUNS}/{firing['run_id']}"))
    except ApiProblem:
        # It is over with the feed, or older than the retention.
        return f"succeeded: it has started the run {firing['run_id']}, which is not there any more"
    reason = f": {run.error.line()}" if run.error is not None else ""
    return f"run {run.state}{reason}"

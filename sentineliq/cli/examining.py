"""Which checks the doctor makes, in which order."""

from collections.abc import Iterable, Sequence

from sentineliq.cli import checks, flows
from sentineliq.cli.checks import Check
from sentineliq.cli.front import Front
from sentineliq.cli.workers import Workers, ask_workers
from shared.runtime.celery import QUEUES
from shared.settings import SERVICES


def examine(front: Front) -> Iterable[Check]:
    """Every part, in the order in which they stand on each other."""
    settings = front.settings
    database, broker, log = (
        checks.postgres(settings),
        checks.valkey(settings),
        checks.kafka(settings),
    )
    yield from (database, broker, log)
    outbox = flows.Outbox(settings) if database.fine else None
    workers = ask_workers(settings) if broker.fine else Workers({})
    scheduled = checks.scheduled_tasks(front)
    groups = flows.consumer_groups(settings) if log.fine else {}
    for service in SERVICES:
        yield checks.api(front, service)
        if outbox is not None:
            yield checks.migrations(settings, service)
        if broker.fine:
            yield checks.worker(service, workers, scheduled)
            yield checks.queue(settings, service)
        yield from groups.get(service, [])
        if outbox is not None:
            yield outbox.check(service)
    yield from checks.beats(front)
    if log.fine:
        yield flows.dead_letters(settings)


def examine_task(front: Front, task: str) -> Sequence[Check]:
    """What keeps one task from running."""
    settings, service = front.settings, task.partition(".")[0]
    if service not in QUEUES:
        names = f"its name begins with a service: {', '.join(QUEUES)}"
        return [Check(f"{task}", "problem", "no service has such a task", names)]
    broker = checks.valkey(settings)
    if not broker.fine:
        return [broker]
    workers = ask_workers(settings)
    return [
        checks.registered(task, workers),
        checks.worker(service, workers, {}),
        checks.queue(settings, service),
        *checks.fires(front, task),
        checks.last_run(settings, task),
    ]

"""Which checks the doctor makes, in which order."""

from collections.abc import Iterable, Sequence

from sentineliq.cli.client.workers import Workers, ask_workers
from sentineliq.cli.context import CommandContext
from sentineliq.cli.doctor import checks, flow_checks
from sentineliq.cli.doctor.checks import Check
from shared.runtime.celery import QUEUES
from shared.settings import SERVICES


def examine(context: CommandContext) -> Iterable[Check]:
    """Every part, in the order in which they stand on each other."""
    settings = context.settings
    database, broker, log = (
        checks.postgres(settings),
        checks.valkey(settings),
        checks.kafka(settings),
    )
    yield from (database, broker, log)
    outbox = flow_checks.Outbox(settings) if database.fine else None
    workers = ask_workers(settings) if broker.fine else Workers({})
    scheduled = checks.scheduled_tasks(context)
    groups = flow_checks.consumer_groups(settings) if log.fine else {}
    for service in SERVICES:
        yield checks.api(context, service)
        if outbox is not None:
            yield checks.migrations(settings, service)
        if broker.fine:
            yield checks.worker(service, workers, scheduled)
            yield checks.queue(settings, service)
        yield from groups.get(service, [])
        if outbox is not None:
            yield outbox.check(service)
    yield from checks.beats(context)
    if log.fine:
        yield flow_checks.dead_letters(settings)


def examine_task(context: CommandContext, task: str) -> Sequence[Check]:
    """What keeps one task from running."""
    settings, service = context.settings, task.partition(".")[0]
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
        *checks.fires(context, task),
        checks.last_run(settings, task),
    ]

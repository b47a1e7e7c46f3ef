"""The list of the doctor's checks, in the order of the report."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from sentineliq.cli.client.workers import Workers, inspect_workers
from sentineliq.cli.context import CommandContext
from sentineliq.cli.doctor.api_checks import (
    check_api,
    check_beat,
    check_schedules,
    scheduled_tasks,
)
from sentineliq.cli.doctor.broker_checks import (
    check_broker,
    check_queue,
    check_registration,
    check_worker,
)
from sentineliq.cli.doctor.check import Check
from sentineliq.cli.doctor.database_checks import DatabaseChecks
from sentineliq.cli.doctor.kafka_checks import check_kafka
from sentineliq.cli.doctor.task_log import check_last_run
from shared.runtime.queues import QUEUES
from shared.settings import SERVICES, ServiceName, Settings


@dataclass(frozen=True)
class _BrokerChecks:
    server: Check
    workers: Workers
    queues: dict[ServiceName, Check]


@dataclass(frozen=True)
class _ApiChecks:
    apis: dict[ServiceName, Check]
    scheduled: dict[str, set[str]]
    beat: Check


def check_installation(context: CommandContext) -> list[Check]:
    """Check every component; components come before those that need them."""
    settings = context.settings
    with DatabaseChecks(settings) as database, ThreadPoolExecutor() as pool:
        # Each of these waits for another server.
        database_check = pool.submit(database.connect)
        broker_checks = pool.submit(_check_broker, settings)
        kafka_checks = pool.submit(check_kafka, settings)
        api_checks = pool.submit(_check_apis, context)

        server = database_check.result()
        broker = broker_checks.result()
        kafka = kafka_checks.result()
        api = api_checks.result()
        checks = [server, broker.server, kafka.cluster]
        for service in SERVICES:
            checks.append(api.apis[service])
            if server.is_usable:
                checks.append(database.migrations(service))
            if broker.server.is_usable:
                checks.append(check_worker(service, broker.workers, api.scheduled))
                checks.append(broker.queues[service])
            if service in kafka.consumers:
                checks.append(kafka.consumers[service])
            if server.is_usable:
                checks.append(database.outbox(service))
                checks.append(database.sweeps(service))
        checks.append(api.beat)
        if kafka.dead_letters is not None:
            checks.append(kafka.dead_letters)
        return checks


def _check_broker(settings: Settings) -> _BrokerChecks:
    server = check_broker(settings)
    if not server.is_usable:
        return _BrokerChecks(server, Workers({}), {})
    queues = {service: check_queue(settings, service) for service in SERVICES}
    return _BrokerChecks(server, inspect_workers(settings), queues)


def _check_apis(context: CommandContext) -> _ApiChecks:
    client = context.client
    apis = {service: check_api(client, service) for service in SERVICES}
    return _ApiChecks(apis, scheduled_tasks(client), check_beat(client))


def check_task(context: CommandContext, task: str) -> list[Check]:
    """Find out why a task does not run."""
    settings = context.settings
    service = task.partition(".")[0]
    if service not in QUEUES:
        step = f"its name begins with a service: {', '.join(QUEUES)}"
        return [Check(task, "problem", "no service has such a task", step)]
    broker = check_broker(settings)
    if not broker.is_usable:
        return [broker]
    workers = inspect_workers(settings)
    return [
        check_registration(task, workers),
        check_worker(service, workers, {}),
        check_queue(settings, service),
        *check_schedules(context.client, task),
        check_last_run(settings, task),
    ]

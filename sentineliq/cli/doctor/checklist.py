"""The list of the doctor's checks, in the order of the report.

The modules of the checks bring the libraries of their servers, whose import takes longer than the
checks themselves. Each is imported by the thread that needs it, while others wait for answers.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sentineliq.cli.context import CommandContext
from sentineliq.cli.doctor.check import Check
from shared.runtime.queues import QUEUES
from shared.settings import SERVICES, ServiceName, Settings

if TYPE_CHECKING:
    from sentineliq.cli.client.workers import Workers
    from sentineliq.cli.doctor.database_checks import DatabaseChecks
    from sentineliq.cli.doctor.kafka_checks import KafkaChecks

# ruff: noqa: PLC0415


@dataclass(frozen=True)
class _BrokerChecks:
    server: Check
    workers: "Workers | None" = None
    queues: dict[ServiceName, Check] = field(default_factory=dict)


@dataclass(frozen=True)
class _ApiChecks:
    apis: dict[ServiceName, Check]
    scheduled: dict[str, set[str]]
    beat: Check


def check_installation(context: CommandContext) -> list[Check]:
    """Check every component; components come before those that need them."""
    settings = context.settings
    with ThreadPoolExecutor() as pool:
        # The first one looks at the outboxes and again some time later: it begins.
        database_checks = pool.submit(_connect_database, settings)
        api_checks = pool.submit(_check_apis, context)
        broker_checks = pool.submit(_check_broker, settings)
        kafka_checks = pool.submit(_check_kafka, settings)
        database, server = database_checks.result()
        with database:
            return _compose(
                database, server, broker_checks.result(), kafka_checks.result(), api_checks.result()
            )


def _compose(
    database: "DatabaseChecks",
    server: Check,
    broker: _BrokerChecks,
    kafka: "KafkaChecks",
    api: _ApiChecks,
) -> list[Check]:
    checks = [server, broker.server, kafka.cluster]
    for service in SERVICES:
        checks.append(api.apis[service])
        if server.is_usable:
            checks.append(database.migrations(service))
        if broker.workers is not None:
            checks.append(_check_worker(service, broker.workers, api.scheduled))
            checks.append(broker.queues[service])
        if service in kafka.consumers:
            checks.append(kafka.consumers[service])
        if server.is_usable:
            checks.append(database.outbox(service))
            checks.append(database.sweeps(service))
            checks += database.consumers(service)
            checks += database.unfinished_work(service)
    checks.append(api.beat)
    if server.is_usable:
        checks.append(database.growth())
    if kafka.dead_letters is not None:
        checks.append(kafka.dead_letters)
    return checks


def _connect_database(settings: Settings) -> tuple["DatabaseChecks", Check]:
    from sentineliq.cli.doctor.database_checks import DatabaseChecks

    database = DatabaseChecks(settings)
    return database, database.connect()


def _check_broker(settings: Settings) -> _BrokerChecks:
    from sentineliq.cli.client.workers import inspect_workers
    from sentineliq.cli.doctor.broker_checks import check_broker, check_queue

    server = check_broker(settings)
    if not server.is_usable:
        return _BrokerChecks(server)
    queues = {service: check_queue(settings, service) for service in SERVICES}
    return _BrokerChecks(server, inspect_workers(settings), queues)


def _check_worker(
    service: ServiceName, workers: "Workers", scheduled: dict[str, set[str]]
) -> Check:
    from sentineliq.cli.doctor.broker_checks import check_worker

    return check_worker(service, workers, scheduled)


def _check_kafka(settings: Settings) -> "KafkaChecks":
    from sentineliq.cli.doctor.kafka_checks import check_kafka

    return check_kafka(settings)


def _check_apis(context: CommandContext) -> _ApiChecks:
    from sentineliq.cli.doctor.api_checks import check_api, check_beat, scheduled_tasks

    client = context.client
    apis = {service: check_api(client, service) for service in SERVICES}
    return _ApiChecks(apis, scheduled_tasks(client), check_beat(client))


def check_task(context: CommandContext, task: str) -> list[Check]:
    """Find out why a task does not run."""
    from sentineliq.cli.client.workers import inspect_workers
    from sentineliq.cli.doctor.api_checks import check_schedules
    from sentineliq.cli.doctor.broker_checks import (
        check_broker,
        check_queue,
        check_registration,
        check_worker,
    )
    from sentineliq.cli.doctor.task_log import check_last_run

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

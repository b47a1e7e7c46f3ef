"""The processes of a service: `python -m services.<name> api|worker|consumer|migrate`."""

import argparse
import asyncio
import gc
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop
from celery import Celery
from fastapi import FastAPI
from pydantic import ValidationError

from shared.database import Database, database
from shared.errors import InvalidInput
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.outbox_upkeep import prune_outbox
from shared.kafka.relay import Relay
from shared.kafka.topic_upkeep import restore_topics
from shared.kafka.topics import ensure_topics
from shared.migrations import make_login, migrate
from shared.private_files import close_folder, keep_files_private
from shared.retention import retention_days
from shared.runtime.probe import notify_ready, serve_probes
from shared.runtime.process_title import set_process_title
from shared.runtime.sweeps import Sweep, SweepThreads
from shared.settings import Settings, load_settings
from shared.telemetry.logging import configure_logging, get_logger
from shared.telemetry.tracing import configure_tracing
from shared.web.server import run_server

log = get_logger(__name__)

SWEEPS_OF_ALL: Final = (
    Sweep("outbox", 60.0, prune_outbox),
    Sweep("topics", 10.0, restore_topics, longest=30.0),
)
"""Every service has an outbox, and needs its topics."""


@dataclass(frozen=True)
class ServiceDefinition:
    """The entry points of a service's processes.

    They are paths `module:attribute`, so that a process imports only what it runs.

    Attributes:
        name: the service's name.
        api: a function `create_app(settings, database) -> FastAPI`.
        celery: the Celery app.
        consumers: the list of `Subscription`.
        groups: further lists of `Subscription` by the names of the consumer groups that read them
            beside the service's own, in the same process.
        sweeps: the list of `Sweep`, which the consumer process runs too.
        release: a function of the database. A worker that stops calls it when its tasks have ended,
            to give back the rows that they had claimed.
        extra: further kinds of process by name: functions of `(settings, database)`.
    """

    name: str
    api: str
    celery: str
    consumers: str
    sweeps: str
    release: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)


def main(service: ServiceDefinition, arguments: Sequence[str] | None = None) -> None:
    """Run the kind of process that the command line names."""
    kinds: dict[str, Callable[[ServiceDefinition, Settings], None]] = {
        "api": _run_api,
        "worker": _run_worker,
        "consumer": _run_consumer,
        "migrate": _run_migrations,
    }
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}")
    parser.add_argument("kind", choices=[*kinds, *service.extra])
    kind = parser.parse_args(arguments).kind
    set_process_title(service.name, kind)
    keep_files_private()
    try:
        settings = load_settings()
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        ]
        sys.exit(f"The settings of {service.name} are incomplete. {'; '.join(problems)}")
    configure_logging(service.name, kind, settings.data_dir, settings.log_level)
    configure_tracing(service.name, kind)
    # A signal that arrives before the process has its own handlers, or after they have returned,
    # is a normal end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if kind in kinds:
        kinds[kind](service, settings)
    else:
        _load(service.extra[kind])(settings, database(service.name))


def load_service_app(service: str, settings: Settings, own_database: Database) -> FastAPI:
    """Return a service's API, by the service's name."""
    definition: ServiceDefinition = _load(f"services.{service}.__main__:SERVICE")
    app: FastAPI = _load(definition.api)(settings, own_database)
    return app


def load_celery_app(service: str) -> Celery:
    """Return a service's Celery app with all its tasks registered."""
    definition: ServiceDefinition = _load(f"services.{service}.__main__:SERVICE")
    app: Celery = _load(definition.celery)
    app.loader.import_default_modules()
    return app


def load_sweeps(service: str) -> list[Sweep]:
    """Return a service's sweeps, by the service's name."""
    definition: ServiceDefinition = _load(f"services.{service}.__main__:SERVICE")
    sweeps: list[Sweep] = _load(definition.sweeps)
    return [*sweeps, *SWEEPS_OF_ALL]


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _run_migrations(service: ServiceDefinition, settings: Settings) -> None:
    # Days that fit no table would end the nightly task only: say so now.
    policies = _load(f"services.{service.name}.retention.policies:POLICIES")
    try:
        retention_days(service.name, policies, settings.retention_days)
    except InvalidInput as error:
        sys.exit(error.message)
    _close_data_folder(settings)
    admin_url = settings.database_url.get_secret_value()
    migrate(service.name, admin_url)
    if settings.service_database_url is not None:
        make_login(service.name, admin_url, settings.service_database_url.get_secret_value())
    created = asyncio.run(ensure_topics(settings))
    log.info("migrated", topics_created=len(created))


def _close_data_folder(settings: Settings) -> None:
    try:
        close_folder(settings.data_dir)
    except PermissionError as error:
        # An orchestrator may own a volume, and let the process in by its group.
        log.warning("data_folder.left_open", reason=str(error))


def _run_api(service: ServiceDefinition, settings: Settings) -> None:
    try:
        app = _load(service.api)(settings, database(service.name))
    except InvalidInput as error:
        sys.exit(error.message)
    # Threads beside the loop compute responses. With Python's default of 5 ms, a thread that
    # computes keeps the loop waiting.
    sys.setswitchinterval(0.0005)
    tune_garbage_collector()
    run_server(app, settings, notify_ready)


def tune_garbage_collector() -> None:
    """Let the garbage collector run rarely, and never over what is loaded by now.

    Loaded modules live as long as the process, and large responses and batches are many small
    objects: a collector that runs after every 700th of them takes a third of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _run_worker(service: ServiceDefinition, settings: Settings) -> None:
    # Soft shutdown: running tasks get a few seconds; those that do not end go back to the queue.
    # Celery reads that variable when it is imported.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    from shared.runtime.worker import run_worker  # noqa: PLC0415

    try:
        run_worker(service.name, _load(service.celery), settings)
    finally:
        # The processes of its tasks have ended.
        if service.release is not None:
            _load(service.release)(database(service.name))


def _run_consumer(service: ServiceDefinition, settings: Settings) -> None:
    subscriptions: list[Subscription[Any]] = _load(service.consumers)
    sweeps = load_sweeps(service.name)
    if settings.probe_port is not None:
        serve_probes(settings.probe_port, database(service.name).check)
    tune_garbage_collector()
    threads = SweepThreads(database(service.name), sweeps)
    threads.start()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_consume(service, settings, subscriptions))
    finally:
        threads.stop()


async def _consume(
    service: ServiceDefinition, settings: Settings, subscriptions: list[Subscription[Any]]
) -> None:
    """Run the service's consumer and its outbox relay until a signal ends them."""
    own_database = database(service.name)
    parts = [Relay(own_database, settings).run()]
    if subscriptions:
        parts.append(Consumer(own_database, settings, subscriptions).run(notify_ready))
    for name, path in service.groups.items():
        parts.append(Consumer(own_database, settings, _load(path), name).run())
    work = asyncio.gather(*parts)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    if not subscriptions:
        notify_ready()
    try:
        await work
    except asyncio.CancelledError:
        log.info("stopped")

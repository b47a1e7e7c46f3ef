"""The processes of a service: `python -m services.<name> api|worker|consumer|migrate`."""

import argparse
import asyncio
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import uvloop
from celery import Celery
from fastapi import FastAPI
from pydantic import ValidationError

from shared.database import Database, database
from shared.kafka.consumer import Consumer, Subscription
from shared.kafka.outbox import Relay
from shared.kafka.topics import ensure_topics
from shared.migrations import migrate
from shared.runtime.probe import notify_ready, serve_probes
from shared.settings import Settings, load_settings
from shared.telemetry.logging import configure_logging, get_logger
from shared.telemetry.metrics import multiprocess_registry
from shared.web.protocol import Protocol

log = get_logger(__name__)


@dataclass(frozen=True)
class ServiceDefinition:
    """Where a service's processes begin; `module:attribute` paths, so that a process imports only what it runs.

    Attributes:
        name: the service's name.
        api: a function `create_app(settings, database) -> FastAPI`.
        celery: its Celery app.
        consumers: its list of `Subscription`.
        extra: further kinds of process, by name: functions of `(settings, database)`.
    """

    name: str
    api: str
    celery: str
    consumers: str
    extra: dict[str, str] = field(default_factory=dict)


def main(service: ServiceDefinition, arguments: Sequence[str] | None = None) -> None:
    """Run the kind of process that the command line names."""
    kinds: dict[str, Callable[[ServiceDefinition, Settings], None]] = {
        "api": _api,
        "worker": _worker,
        "consumer": _consumer,
        "migrate": _migrate,
    }
    parser = argparse.ArgumentParser(prog=f"python -m services.{service.name}")
    parser.add_argument("kind", choices=[*kinds, *service.extra])
    kind = parser.parse_args(arguments).kind
    try:
        settings = load_settings()
    except ValidationError as error:
        missing = "; ".join(
            f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()
        )
        sys.exit(f"The settings of {service.name} are incomplete. {missing}")
    configure_logging(service.name, kind, settings.data_dir, settings.log_level)
    # Asked to stop before its own handlers stand, or after they did their work: either way that is a normal end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    if kind in kinds:
        kinds[kind](service, settings)
    else:
        _load(service.extra[kind])(settings, database(service.name))


def load_service_app(service: str, settings: Settings, own: Database) -> FastAPI:
    """A service's API, by the service's name."""
    found: ServiceDefinition = _load(f"services.{service}.__main__:SERVICE")
    app: FastAPI = _load(found.api)(settings, own)
    return app


def load_celery_app(service: str) -> Celery:
    """Return a service's Celery app with all its tasks registered."""
    definition: ServiceDefinition = _load(f"services.{service}.__main__:SERVICE")
    app: Celery = _load(definition.celery)
    app.loader.import_default_modules()
    return app


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _migrate(service: ServiceDefinition, settings: Settings) -> None:
    migrate(service.name, settings.database_url.get_secret_value())
    created = asyncio.run(ensure_topics(settings))
    log.info("migrated", topics_created=len(created))


def _api(service: ServiceDefinition, settings: Settings) -> None:
    app = _load(service.api)(settings, database(service.name))
    config = uvicorn.Config(
        app,
        host=settings.api_host,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        http=Protocol,
        loop="uvloop",
    )
    # Answers are made in threads beside the loop: with the usual 5 ms a thread that computes keeps the loop waiting.
    sys.setswitchinterval(0.0005)
    tune_garbage_collector()
    _Server(config).run()


def tune_garbage_collector() -> None:
    """What is loaded by now lives as long as the process, and large answers and batches are many small objects.

    A collector that counts every 700th of them costs a third of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            notify_ready()


def _worker(service: ServiceDefinition, settings: Settings) -> None:
    # Soft shutdown: what runs gets a few seconds, what does not end goes back to the queue.
    os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")
    from celery import signals  # noqa: PLC0415  # reads that variable when it is imported

    app = _load(service.celery)
    if settings.probe_port is not None:
        serve_probes(settings.probe_port, database(service.name).check, multiprocess_registry())
    signals.worker_ready.connect(lambda **_: notify_ready(), weak=False)
    app.Worker(
        hostname=f"{service.name}-{os.getpid()}@{socket.gethostname()}",
        loglevel=settings.log_level,
        without_mingle=True,
        without_gossip=True,
        quiet=True,
    ).start()


def _consumer(service: ServiceDefinition, settings: Settings) -> None:
    subscriptions: list[Subscription[Any]] = _load(service.consumers)
    if settings.probe_port is not None:
        serve_probes(settings.probe_port, database(service.name).check)
    tune_garbage_collector()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_consume(service, settings, subscriptions))


async def _consume(
    service: ServiceDefinition, settings: Settings, subscriptions: list[Subscription[Any]]
) -> None:
    """The service's consumers and its outbox relay, until a signal ends them."""
    own = database(service.name)
    work = asyncio.gather(
        Relay(own, settings).run(),
        *([Consumer(own, settings, subscriptions).run(notify_ready)] if subscriptions else []),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    if not subscriptions:
        notify_ready()
    try:
        await work
    except asyncio.CancelledError:
        log.info("stopped")

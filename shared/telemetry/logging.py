"""Structured logs: one JSON object a line on stdout, and rotating files per kind of process.

APIs write `logs/api.log`, workers, consumers and Beat `logs/celery.log`, and all write lines from
ERROR up to `logs/error.log`. Fields of the work at hand (service, tenant, actor, event, task) are
bound once to context variables; the ids of the trace come from the current span.
"""

import logging
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import stamina.instrumentation
import structlog

from shared.telemetry.tracing import current_ids

_SECRET_WORDS = ("password", "secret", "token", "authorization", "api_key", "credential")
_FILES = {
    "api": "api.log",
    "worker": "celery.log",
    "consumer": "celery.log",
    "trends": "celery.log",
    "beat": "celery.log",
}
_MAX_BYTES = 10 * 1024 * 1024
_BACKUPS = 3
_MAX_DEPTH = 8
_REPEAT_SECONDS = 60.0


def configure_logging(
    service: str, kind: str, data_dir: Path | None = None, level: str = "INFO"
) -> None:
    """Send structlog and the standard library's loggers through one chain of processors.

    Args:
        service: the service's name, a field of every line.
        kind: api, worker, consumer, trends, beat or migrate; decides which file is written.
        data_dir: the folder of `logs/`; None writes to stdout only.
        level: the lowest level that is written.
    """
    structlog.configure(
        processors=[*_shared_chain(), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_shared_chain(),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stdout)]
    if data_dir is not None and kind in _FILES:
        handlers += _files(data_dir / "logs", kind)
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(handlers=handlers, level=level, force=True)
    for noisy in (
        "aiokafka",
        "kafka",
        "httpcore2",
        "httpx2",
        "uvicorn.access",
        "alembic.runtime.plugins",
    ):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("aiokafka.cluster").addFilter(_OncePerMinute())
    # Callers log their retries themselves, with the data that says what is retried.
    stamina.instrumentation.set_on_retry_hooks(())
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(service=service, kind=kind)


class _OncePerMinute(logging.Filter):
    """Passes a text once a minute: aiokafka repeats some at each request, five times a second."""

    def __init__(self) -> None:
        super().__init__()
        self._passed_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is passed on."""
        text = record.getMessage()
        is_due = record.created - self._passed_at.get(text, -_REPEAT_SECONDS) >= _REPEAT_SECONDS
        if is_due:
            self._passed_at[text] = record.created
        return is_due


def _files(folder: Path, kind: str) -> list[logging.Handler]:
    folder.mkdir(parents=True, exist_ok=True)
    main = _rotating(folder / _FILES[kind])
    errors = _rotating(folder / "error.log")
    errors.setLevel(logging.ERROR)
    return [main, errors]


def _rotating(path: Path) -> logging.Handler:
    # It imports much, which a process without log files does without.
    from concurrent_log_handler import ConcurrentRotatingFileHandler  # noqa: PLC0415

    return ConcurrentRotatingFileHandler(
        path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, umask=0o077
    )


def _shared_chain() -> list[structlog.types.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        _redact,
    ]


def _add_trace(
    _logger: Any, _name: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    line.update(current_ids())
    return line


def _redact(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in line.items():
        line[key] = _redacted(key, value)
    return line


def _redacted(key: str, value: Any, depth: int = 0) -> Any:
    """The value of a field without secrets, also those of fields within it."""
    if any(word in key.lower() for word in _SECRET_WORDS):
        return "[redacted]"
    if depth == _MAX_DEPTH:
        return "[deeper]" if isinstance(value, Mapping | list | tuple) else value
    if isinstance(value, Mapping):
        return {name: _redacted(str(name), part, depth + 1) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted("", part, depth + 1) for part in value]
    return value


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger of events with key-value pairs; it takes no formatted strings."""
    return structlog.stdlib.get_logger(name)

"""Serve a gateway alone, before one service.

`python -m tests.gateway.routing.gateway_script PORT UPSTREAM_URL [NAME=VALUE …]`: further arguments
are settings. Its database is an address where nothing listens; no routed request asks it.
"""

import sys
from pathlib import Path

from services.gateway.app import create_app
from shared.database import Database
from shared.runtime.process import tune_garbage_collector
from shared.settings import Settings
from shared.web.server import run_server

SECRET = "a-secret-key-for-tests-of-more-than-32-characters"
_NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
_SERVICES = ("feeds", "observables", "notifications", "mitre", "scheduler")


def gateway_settings(port: int, upstream: str, **changes: object) -> Settings:
    """The settings of a gateway whose services are all at one address."""
    return Settings.model_validate(
        {
            "DATABASE_URL": _NOWHERE,
            "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "secret_key": SECRET,
            "data_dir": Path(),
            "api_port": port,
            "api_rate": 0,
            "flower_url": upstream,
            "FLOWER_BASIC_AUTH": "operator:of-flower",
            **{f"{service}_url": upstream for service in _SERVICES},
            **changes,
        }
    )


def _report() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until a signal ends the process."""
    changes = dict(argument.split("=", 1) for argument in sys.argv[3:])
    settings = gateway_settings(int(sys.argv[1]), sys.argv[2], **changes)
    app = create_app(settings, Database(_NOWHERE, "gateway"))
    tune_garbage_collector()
    run_server(app, settings, _report)


if __name__ == "__main__":
    main()

"""Where the command line keeps the session of a person who has signed in to a gateway."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.private_files import write_private
from shared.service_names import SERVICES

_VARIABLE: Final = "SENTINELIQ_LOGIN_FILE"
_GATEWAY: Final = "gateway"


def login_file() -> Path:
    """The file of the session; nobody else can read it."""
    if path := os.environ.get(_VARIABLE):
        return Path(path)
    folder = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(folder) / "sentineliq" / "login.json"


def store_login(url: str, token: str, login: str) -> Path:
    """Keep the session of a gateway; return the file."""
    path = login_file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {"url": url.rstrip("/"), "token": token, "login": login}
    write_private(path, json.dumps(document, indent=2) + "\n")
    return path


def forget_login() -> None:
    """Delete the session's file, if there is one."""
    login_file().unlink(missing_ok=True)


def login_environment() -> Mapping[str, str]:
    """The variables that stand for the session: its token, and all services behind the gateway.

    A damaged file is none: signing in again replaces it.
    """
    try:
        stored = json.loads(login_file().read_text())
        url = str(stored["url"])
        token = str(stored["token"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    addresses = {
        f"SENTINELIQ_{name.upper()}_URL": url if name == _GATEWAY else f"{url}/api/{name}"
        for name in SERVICES
    }
    return {**addresses, "SENTINELIQ_TOKEN": token}

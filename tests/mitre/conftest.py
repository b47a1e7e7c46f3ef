"""Small ATT&CK bundles, a server that hands them out, and the service's own parts."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
import sqlalchemy as sa

from services.mitre.imports import repository
from services.mitre.imports.execution import execute
from shared.database import PUBLIC, Database, database
from shared.settings import Settings

NAMESPACE = UUID("2f6c1a0e-97a3-4f0c-8f39-0e0e1a3f6d11")
STARTER = Path(__file__).parents[2] / "sentineliq" / "starter" / "attack" / "attack-starter.json"


def stix_id(kind: str, name: str) -> str:
    return f"{kind}--{uuid5(NAMESPACE, name)}"


def pattern(attack_id: str, name: str, *, stix: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "type": "attack-pattern",
        "spec_version": "2.1",
        "id": stix_id("attack-pattern", stix or attack_id),
        "created": "2025-01-01T00:00:00.000Z",
        "modified": "2025-01-01T00:00:00.000Z",
        "name": name,
        "description": f"What {name} is about.",
        "external_references": [
            {
                "source_name": "mitre-attack",
                "external_id": attack_id,
                "url": f"https://attack.example/{attack_id}",
            }
        ],
        "kill_chain_phases": [{"kill_chain_name": "mitre-attack", "phase_name": "execution"}],
        "x_mitre_platforms": ["Windows"],
        **more,
    }


def link(kind: str, source: str, target: str, **more: Any) -> dict[str, Any]:
    refs = {
        end: stix_id("attack-pattern", name)
        for end, name in (("source_ref", source), ("target_ref", target))
    }
    own_id = stix_id("relationship", f"{source} {kind} {target}")
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": own_id,
        "relationship_type": kind,
        **refs,
        **more,
    }


def user(
    attack_id: str, name: str, *uses: str, kind: str = "malware", **more: Any
) -> list[dict[str, Any]]:
    own_id = stix_id(kind, attack_id)
    reference = {"source_name": "mitre-attack", "external_id": attack_id}
    item = {"type": kind, "id": own_id, "name": name, "external_references": [reference], **more}
    links = [
        {
            **link("uses", attack_id, technique),
            "source_ref": own_id,
            "id": stix_id("relationship", f"{name}{technique}"),
        }
        for technique in uses
    ]
    return [item, *links]


def bundle(
    version: str | None, *objects: dict[str, Any], domain: str = "enterprise-attack"
) -> bytes:
    matrix = {
        "type": "x-mitre-matrix",
        "id": stix_id("x-mitre-matrix", domain),
        "name": "matrix",
        "external_references": [{"source_name": "mitre-attack", "external_id": domain}],
    }
    tactic = {
        "type": "x-mitre-tactic",
        "id": stix_id("x-mitre-tactic", "execution"),
        "name": "Execution",
        "x_mitre_shortname": "execution",
        "external_references": [{"source_name": "mitre-attack", "external_id": "TA0002"}],
    }
    head: dict[str, Any] = {
        "type": "x-mitre-collection",
        "id": stix_id("x-mitre-collection", domain),
        "name": "A small ATT&CK",
        "x_mitre_version": version,
    }
    start: list[dict[str, Any]] = [matrix, tactic] if version is None else [head, matrix, tactic]
    content: dict[str, Any] = {
        "type": "bundle",
        "id": stix_id("bundle", "it"),
        "objects": [*start, *objects],
    }
    if version is None:
        content["spec_version"] = "2.0"
    return json.dumps(content).encode()


@pytest.fixture(scope="session")
def starter() -> Path:
    """The bundle that ships with the project."""
    return STARTER


@pytest.fixture(scope="session")
def make_pattern() -> Callable[..., dict[str, Any]]:
    """Makes a technique: `make_pattern("T1059", "Interpreter", revoked=True)`."""
    return pattern


@pytest.fixture(scope="session")
def make_link() -> Callable[..., dict[str, Any]]:
    """Makes a relationship: `make_link("subtechnique-of", "T1059.001", "T1059")`."""
    return link


@pytest.fixture(scope="session")
def make_user() -> Callable[..., list[dict[str, Any]]]:
    """Makes software or a group and its relationships: `make_user("G0007", "APT28", "T1059")`."""
    return user


@pytest.fixture(scope="session")
def make_bundle() -> Callable[..., bytes]:
    """Makes a bundle: `make_bundle("18.1", *objects)`; version None is the STIX 2.0 layout."""
    return bundle


@pytest.fixture(scope="session")
def two_versions() -> tuple[bytes, bytes]:
    """Versions 1.0 and 2.0, with a technique for each kind of change."""
    same = pattern("T1001", "Same")
    child = pattern("T1001.001", "Child")
    first = bundle(
        "1.0",
        same,
        child,
        link("subtechnique-of", "T1001.001", "T1001"),
        pattern("T1002", "Changes"),
        pattern("T1003", "Old name"),
        pattern("T1004", "To be revoked"),
        pattern("T1005", "To be deprecated"),
        pattern("T1006", "To be removed"),
        pattern("T1007", "To be moved", stix="moving"),
    )
    second = bundle(
        "2.0",
        same,
        child,
        link("subtechnique-of", "T1001.001", "T1001"),
        pattern("T1002", "Changes", description="Something else."),
        pattern("T1003", "New name"),
        pattern("T1004", "To be revoked", revoked=True),
        link("revoked-by", "T1004", "T1001.001"),
        pattern("T1005", "To be deprecated", x_mitre_deprecated=True),
        pattern("T1008", "To be moved", stix="moving"),
        pattern("T1009", "Added", x_mitre_platforms=["Linux"]),
    )
    return first, second


class Publisher:
    """An HTTP server on loopback that hands out one bundle with an ETag.

    `conditions` are the ETags of the requests.
    """

    def __init__(self) -> None:
        self.content = b""
        self.etag = '"1"'
        self.status = 200
        self.conditions: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.conditions.append(self.headers.get("If-None-Match"))
                status = 304 if outer.conditions[-1] == outer.etag else outer.status
                self.send_response(status)
                self.send_header("ETag", outer.etag)
                body = b"" if status == 304 else outer.content
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/attack.json"


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    """A server to load bundles from."""
    server = Publisher()
    thread = threading.Thread(target=server.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.server.shutdown()
    thread.join()
    server.server.server_close()


@pytest.fixture
def own(environment: Settings) -> Database:
    """The service's database."""
    return database("mitre")


@pytest.fixture
def run_pending(environment: Settings, own: Database) -> Callable[[], list[dict[str, Any]]]:
    """Does what workers would do with the imports that wait, once the next attempt is due."""

    def run() -> list[dict[str, Any]]:
        with own.transaction(PUBLIC) as session:
            session.execute(sa.text("UPDATE load SET next_attempt_at = now()"))
            waiting = repository.list_open_imports(session)
        waiting.sort(key=lambda item: item.created_at)
        return [execute(own, environment, item.id).as_dict() for item in waiting]

    return run

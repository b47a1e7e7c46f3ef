"""Logs: one JSON object a line, secrets left out, files by kind."""

import json
import logging
import subprocess
import sys
from pathlib import Path

SCRIPT = """
import logging, sys
from pathlib import Path
from shared.telemetry.logging import configure_logging, get_logger
from opentelemetry.trace import SpanKind
from shared.telemetry.tracing import WorkSpan
configure_logging("feeds", sys.argv[1], Path(sys.argv[2]))
traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WorkSpan("run", traceparent, SpanKind.CONSUMER).start()
get_logger("a").info("run.started", run="1", api_key="hunter2", webhook_secret="hunter2",
    request={"headers": {"Authorization": "Bearer hunter2", "Accept": "text/plain"}},
    attempts=[{"auth": {"Password": "hunter2"}}, ("x", {"token": "hunter2"})])
logging.getLogger("library").warning("odd %s", "thing")
try:
    1 / 0
except ZeroDivisionError:
    get_logger("a").exception("run.failed")
"""


def logged(tmp_path: Path, kind: str) -> tuple[list[dict], Path]:
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, kind, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    return [json.loads(line) for line in process.stdout.splitlines()], tmp_path / "logs"


def test_every_line_is_json_with_service_kind_and_trace(tmp_path: Path) -> None:
    lines, _ = logged(tmp_path, "worker")
    assert [line["event"] for line in lines] == ["run.started", "odd thing", "run.failed"]
    assert all((line["service"], line["kind"]) == ("feeds", "worker") for line in lines)
    assert {line["trace_id"] for line in lines} == {"0af7651916cd43dd8448eb211c80319c"}
    assert {line["parent_span_id"] for line in lines} == {"b7ad6b7169203331"}
    (span_id,) = {line["span_id"] for line in lines}
    assert span_id != "b7ad6b7169203331"
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_secrets_are_left_out(tmp_path: Path) -> None:
    lines, _ = logged(tmp_path, "worker")
    assert "hunter2" not in json.dumps(lines)
    assert lines[0]["request"]["headers"]["Accept"] == "text/plain"


def test_apis_and_workers_have_files_and_errors_one_of_their_own(tmp_path: Path) -> None:
    _, folder = logged(tmp_path, "worker")
    logged(tmp_path, "api")
    assert len((folder / "celery.log").read_text().splitlines()) == 3
    assert len((folder / "api.log").read_text().splitlines()) == 3
    errors = [json.loads(line) for line in (folder / "error.log").read_text().splitlines()]
    assert [line["event"] for line in errors] == ["run.failed", "run.failed"]
    assert all(line["level"] == logging.getLevelName(logging.ERROR).lower() for line in errors)


def test_what_a_library_repeats_is_logged_once_a_minute(tmp_path: Path) -> None:
    script = (
        "import logging\n"
        "from shared.telemetry.logging import configure_logging\n"
        "configure_logging('feeds', 'consumer')\n"
        "for topic in ('a', 'b', 'a', 'a'):\n"
        "    logging.getLogger('aiokafka.cluster').error('Topic %s not found', topic)\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    lines = [json.loads(line)["event"] for line in output.splitlines()]
    assert lines == ["Topic a not found", "Topic b not found"]

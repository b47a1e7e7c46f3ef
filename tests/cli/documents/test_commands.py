"""Every command of README and docs/ runs as it is written, on a fresh stack.

A page's commands run in one shell, in order, in a folder like the reader's: the data folder is
`.sentineliq`, the environment `.venv`. Addresses of example.com are served on loopback.
"""

import os
import re
import shlex
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from sentineliq.local.ports import Ports
from sentineliq.local.stack import Stack
from services.observables.providers.registry import enrichers
from shared.settings import SERVICES
from tests.cli.conftest import OWN_VARIABLES
from tests.cli.documents.blocks import ROOT, Command, code_of, commands_of, pages
from tests.cli.documents.treatments import BEGINNINGS, TREATMENTS, treatment_of
from tests.observables.enrichment.provider import Providers, Reply

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGES = [page for page in pages() if list(commands_of(page))]
_PREPARATIONS = {
    "docs/console.md": [
        "echo login.example.com > names.txt",
        "sentineliq ingest names.txt",
    ],
    "docs/feeds.md": ["printf 'SHA-1,Date\\n%s,2026-01-01\\n' " + "a" * 40 + " > report.csv"],
    "docs/filters.md": ["sentineliq notifications channels add Log log"],
    "docs/enrichers.md": ["printf 0123456789abcdef > key.txt"],
    "docs/operations.md": [],
    "docs/tasks.md": ["sentineliq feeds subscribe openphish --no-wait"],
}
"""What a page expects of its reader, beside a running stack."""
_LINE = re.compile(r"^::(begin|end) (\d+)(?: (\d+))?$", re.MULTILINE)


class Result(NamedTuple):
    """How a command ended."""

    command: Command
    code: int
    output: str

    def __str__(self) -> str:
        place = f"{self.command.page}:{self.command.line}"
        return f"{place}: {self.command.text}\nexit code {self.code}\n{self.output}"


@pytest.fixture
def folder(tmp_path: Path, running_stack: Stack) -> Path:
    """A folder like the reader's, with the environment and data folder of the running stack."""
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / ".sentineliq").symlink_to(running_stack.data_dir)
    return tmp_path


@pytest.fixture
def web(serve: Callable[[dict[str, bytes]], str]) -> str:
    """The address of what example.com serves."""
    return serve({"/list.txt": b"192.0.2.77\n192.0.2.78\n"})


@pytest.fixture
def answering(providers: Providers) -> Iterator[None]:
    """Providers that know nothing, but for one that describes a network."""
    before = dict(providers.replies)
    providers.replies.update(dict.fromkeys(enrichers(), lambda _call: Reply(404, b"{}")))
    network = b'{"objectClassName": "ip network", "handle": "EXAMPLE-NET", "country": "AU"}'
    providers.replies["rdap"] = lambda _call: Reply(200, network)
    yield
    providers.replies.clear()
    providers.replies.update(before)


@pytest.fixture
def hook() -> Iterator[str]:
    """The address of a receiver of webhooks that takes every message."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook"
        server.shutdown()


def environment(tenant: str) -> dict[str, str]:
    """The reader's, as after `source .venv/bin/activate`."""
    inherited = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    path = f"{ROOT / '.venv' / 'bin'}:{inherited['PATH']}"
    return {
        **inherited,
        "PATH": path,
        "SENTINELIQ_TENANT": tenant,
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


def here(text: str, stack: Stack, web: str, hook: str) -> str:
    """A command with the addresses of this test for those of the page."""
    default = Ports()
    for service in SERVICES:
        present = f"127.0.0.1:{stack.ports.of(service)}"
        text = text.replace(f"127.0.0.1:{default.of(service)}", present)
    text = text.replace("https://hooks.example.com/sentineliq", hook)
    return text.replace("https://example.com", web)


def script(commands: list[Command], prepare: list[str], adapt: Callable[[str], str]) -> str:
    lines = ["exec 2>&1 < /dev/null", *prepare]
    for number, command in enumerate(commands):
        treatment = treatment_of(command.text)
        text = adapt(command.text)
        if treatment.variables:
            text = f"{treatment.variables} {text}"
        if treatment.seconds:
            text = f"timeout --signal=INT {treatment.seconds} {text}"
        lines += [f"echo '::begin {number}'", text, f'echo; echo "::end {number} $?"']
    # The exit code of the command, not that of `echo`.
    return (
        "\n".join(lines)
        .replace('\necho; echo "::end', '\ncode=$?; echo; echo "::end')
        .replace(' $?"', ' $code"')
    )


def results(output: str, commands: list[Command]) -> list[Result]:
    marks = list(_LINE.finditer(output))
    ended = []
    for begin, end in zip(marks[::2], marks[1::2], strict=True):
        text = output[begin.end() : end.start()].strip()
        ended.append(Result(commands[int(begin[2])], int(end[3]), text))
    return ended


@pytest.mark.usefixtures("answering")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_command_of_a_page_does_what_it_says(
    page: Path, folder: Path, running_stack: Stack, web: str, hook: str
) -> None:
    commands = [each for each in commands_of(page) if treatment_of(each.text).is_run]
    name = str(page.relative_to(ROOT))
    text = script(
        commands,
        _PREPARATIONS.get(name, []),
        lambda command: here(command, running_stack, web, hook),
    )
    tenant = re.sub(r"\W", "-", page.stem.lower())
    done = subprocess.run(
        ["bash", "-c", text],
        cwd=folder,
        env=environment(tenant),
        stdout=subprocess.PIPE,
        text=True,
        timeout=500,
        check=False,
    )
    ended = results(done.stdout, commands)
    assert len(ended) == len(commands), done.stdout[-2000:]
    wrong = []
    for result in ended:
        treatment = treatment_of(result.command.text)
        if result.code not in treatment.codes or treatment.says not in result.output:
            wrong.append(str(result))
    assert not wrong, "\n\n".join(wrong)


def test_each_treatment_is_of_a_command_and_has_its_reason() -> None:
    texts = [command.text for page in pages() for command in commands_of(page)]
    assert set(TREATMENTS) <= set(texts)
    for beginning in BEGINNINGS:
        assert any(text.startswith(beginning) for text in texts), beginning
    for treatment in (*TREATMENTS.values(), *BEGINNINGS.values()):
        assert len(treatment.reason.split()) > 3


def test_the_consumer_on_the_page_about_kafka_reads_events(
    folder: Path, running_stack: Stack
) -> None:
    [code] = code_of(ROOT / "docs" / "kafka.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 25
    # From the beginning, so that the test need not wait for news.
    (folder / "consumer.py").write_text(code.replace('"latest"', '"earliest"'))
    (folder / "seen.txt").write_text("198.51.100.90\n")
    login = {
        name: value for name, value in running_stack.environment.items() if name.startswith("KAFKA")
    }
    shell = "sentineliq ingest seen.txt && timeout --signal=INT 15 python -u consumer.py; true"
    done = subprocess.run(
        ["bash", "-c", shell],
        cwd=folder,
        env={**environment("kafka-reader"), **login},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "198.51.100.90" in done.stdout, shlex.join([done.stdout[-500:], done.stderr[-500:]])
    assert "kafka-reader" in done.stdout

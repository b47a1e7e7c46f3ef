"""Real readers, where this machine has them: what they do is what the list says, and no more."""

import contextlib
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.observables.list_formats.base import ListVersion, Row
from services.observables.list_formats.registry import list_format_named
from tests.observables.list_formats.contract import MOMENT, VERSION, canonical, write

COUNT = 2_000
LISTED = [f"host-{number}.bad{number % 7}.example.com" for number in range(COUNT)]
UNLISTED = [
    *[f"below.{name}" for name in LISTED[:500]],
    *[name.partition(".")[2] for name in LISTED[:7]],
    *[f"x{name}" for name in LISTED[:500]],
    "example.com",
]
BELOW = ListVersion(VERSION.list_id, "bad-hosts", 41, MOMENT, {"below": "yes"})


def rows() -> list[Row]:
    return canonical([("domain-name", name) for name in LISTED])


def require(program: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{program} is not installed on this machine")
    return path


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(arguments: list[str], port: int) -> Iterator[None]:
    """A resolver that answers, until the block ends."""
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            deadline = time.monotonic() + 20
            while ask(port, LISTED[0]) is None:
                assert process.poll() is None, process.stdout and process.stdout.read().decode()
                assert time.monotonic() < deadline
            yield
        finally:
            process.terminate()


def ask(port: int, name: str) -> tuple[int, str | None] | None:
    """The code and the first address of the answer about a name; None without an answer."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    question = labels + b"\0" + struct.pack(">HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        try:
            client.sendto(
                struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + question, ("127.0.0.1", port)
            )
            answer = client.recv(2048)
        except OSError:
            return None
    code = answer[3] & 15
    has_answer = struct.unpack(">H", answer[6:8])[0] > 0
    return code, socket.inet_ntoa(answer[-4:]) if has_answer else None


def check_resolver(port: int) -> None:
    listed = {ask(port, name) for name in LISTED}
    assert listed == {(0, ".".join(["0"] * 4))}
    others = {ask(port, name) for name in UNLISTED}
    assert all(answer is not None and answer[1] is None for answer in others), others


def test_dnsmasq_answers_the_names_of_the_list_and_no_others(tmp_path: Path) -> None:
    program = require("dnsmasq")
    file = tmp_path / "list.conf"
    file.write_text(write(list_format_named("dnsmasq"), rows())[0])
    port = free_port()
    arguments = [
        program,
        "--keep-in-foreground",
        "--no-resolv",
        "--no-hosts",
        "--no-daemon",
        f"--port={port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        f"--conf-file={file}",
        "--user=",
        f"--pid-file={tmp_path / 'pid'}",
    ]
    with running(arguments, port):
        check_resolver(port)


def test_unbound_answers_the_names_of_the_list_and_no_others(tmp_path: Path) -> None:
    program = require("unbound")
    file = tmp_path / "list.conf"
    file.write_text(write(list_format_named("unbound"), rows())[0])
    port = free_port()
    settings = tmp_path / "unbound.conf"
    # A refusal of all other names shows them without asking anybody on the Internet.
    settings.write_text(
        f'server:\n interface: 127.0.0.1@{port}\n do-daemonize: no\n username: ""\n chroot: ""\n'
        f' directory: "{tmp_path}"\n pidfile: "{tmp_path}/pid"\n use-syslog: no\n'
        f' local-zone: "." refuse\n module-config: "iterator"\ninclude: "{file}"\n'
        "remote-control:\n control-enable: no\n"
    )
    with running([program, "-d", "-c", str(settings)], port):
        check_resolver(port)


@pytest.mark.parametrize("version", [VERSION, BELOW], ids=["exact", "below"])
def test_named_takes_the_policy_zone(tmp_path: Path, version: ListVersion) -> None:
    program = require("named-checkzone")
    long = [("domain-name", ".".join(["a" * 63] * 3 + ["b" * 40, "example", "com"]))]
    addresses = [("ipv4-addr", "198.51.100.0/24"), ("ipv6-addr", "2001:db8::7")]
    text, account = write(
        list_format_named("rpz"), [*rows(), *canonical([*long, *addresses])], version
    )
    assert account.left_out == {"not a name that a zone can have": 1}
    file = tmp_path / "rpz.zone"
    file.write_text(text)
    arguments = [program, "-i", "local", "rpz.invalid", str(file)]
    outcome = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stdout
    assert "loaded serial 41" in outcome.stdout


@pytest.mark.parametrize("name", ["dnsmasq", "unbound"])
def test_the_wide_form_is_taken_as_well(tmp_path: Path, name: str) -> None:
    program = require({"dnsmasq": "dnsmasq", "unbound": "unbound-checkconf"}[name])
    file = tmp_path / "list.conf"
    text, account = write(list_format_named(name), rows(), BELOW)
    assert account.entries == COUNT
    assert "entries stand for the names below them as well" in text
    file.write_text(text)
    check = [f"--conf-file={file}", "--test"] if name == "dnsmasq" else [str(file)]
    outcome = subprocess.run(
        [program, *check], capture_output=True, text=True, timeout=60, check=False
    )
    assert outcome.returncode == 0, outcome.stderr


def test_nft_reads_the_sets(tmp_path: Path) -> None:
    program = require("nft")
    pairs = [("ipv4-addr", f"198.51.{number // 250}.{number % 250}") for number in range(2_000)]
    pairs += [("ipv6-addr", "2001:db8::/32"), ("ipv6-addr", "2001:db9::1")]
    file = tmp_path / "sets.nft"
    file.write_text(write(list_format_named("nftables"), canonical(pairs))[0])
    arguments = [program, "--check", "--file", str(file)]
    outcome = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    if "Operation not permitted" in outcome.stderr or "cache initialization" in outcome.stderr:
        pytest.skip("nft may not speak with the kernel of this machine")
    assert outcome.returncode == 0, outcome.stderr

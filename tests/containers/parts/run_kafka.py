#!/usr/bin/env python3
"""Starts Kafka with the settings in the environment, by the rules of the official image.

`KAFKA_NODE_ID` is `node.id`; `__` stands for an underscore and `___` for a dash.
"""

import os
import re
import subprocess
from pathlib import Path

FOLDER = Path("/var/lib/kafka/settings")
IGNORED = {"KAFKA_HEAP_OPTS"}
SIGNS = {"_": ".", "__": "_", "___": "-"}
JAVA = [
    "java",
    *os.environ["KAFKA_HEAP_OPTS"].split(),
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-cp",
    "/opt/parts/jars/*",
]


def setting_name(variable: str) -> str:
    """The name of a setting."""
    words = variable.removeprefix("KAFKA_")
    return re.sub("_{1,3}", lambda match: SIGNS[match[0]], words).lower()


def main() -> None:
    """Write the settings, format an empty log folder, and become the broker."""
    variables = {
        name: value
        for name, value in os.environ.items()
        if name.startswith("KAFKA_") and name not in IGNORED
    }
    properties = FOLDER / "server.properties"
    lines = [f"{setting_name(name)}={value}\n" for name, value in variables.items()]
    properties.write_text("".join(lines))
    arguments = [f"--cluster-id={os.environ['CLUSTER_ID']}", "-c", str(properties)]
    formatting = [*JAVA, "kafka.tools.StorageTool", "format", "--ignore-formatted", *arguments]
    subprocess.run(formatting, check=True)
    os.execvp("java", [*JAVA, "kafka.Kafka", str(properties)])  # noqa: S606  # no shell is wanted


main()

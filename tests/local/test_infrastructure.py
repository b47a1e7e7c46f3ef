"""The three servers for real: acknowledged data survives kill -9 and a change of ports."""

import asyncio
import json
import os
import signal

import psutil
import psycopg
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from sentineliq.local.environment import stored_environment
from sentineliq.local.orphans import running_processes
from sentineliq.local.stack import Infrastructure

TOPIC = "kept"


def write(environment):
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept (value text)")
        connection.execute("INSERT INTO kept VALUES ('postgres')")
    with redis.Redis.from_url(environment["CELERY_BROKER_URL"]) as client:
        client.rpush("kept", "valkey")
    asyncio.run(produce(login(environment)))


def read(environment):
    with psycopg.connect(environment["DATABASE_URL"]) as connection:
        rows = connection.execute("SELECT value FROM kept").fetchall()
    with redis.Redis.from_url(environment["CELERY_BROKER_URL"]) as client:
        items = client.lrange("kept", 0, -1)
    return rows, items, asyncio.run(consume(login(environment)))


def login(environment):
    return {
        "bootstrap_servers": environment["KAFKA_BOOTSTRAP_SERVERS"],
        "security_protocol": environment["KAFKA_SECURITY_PROTOCOL"],
        "sasl_mechanism": environment["KAFKA_SASL_MECHANISM"],
        "sasl_plain_username": environment["KAFKA_USERNAME"],
        "sasl_plain_password": environment["KAFKA_PASSWORD"],
    }


async def produce(options):
    admin = AIOKafkaAdminClient(**options)
    await admin.start()
    await admin.create_topics([NewTopic(TOPIC, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(
        **options, enable_idempotence=True, compression_type="zstd"
    ) as producer:
        await producer.send_and_wait(TOPIC, b"kafka")


async def consume(options):
    async with AIOKafkaConsumer(TOPIC, **options, auto_offset_reset="earliest") as consumer:
        return (await asyncio.wait_for(consumer.getone(), 20)).value


def addresses(pid):
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                yield connection.laddr.ip.removeprefix("::ffff:")


@pytest.mark.slow
def test_data_outlives_kill_and_a_move_to_other_ports(tmp_path, eventually, gone):
    expected = ([("postgres",)], [b"valkey"], b"kafka")
    states = []
    with Infrastructure(
        tmp_path, on_state=lambda *state: states.append(state[:2])
    ).running() as stack:
        first = running_processes(tmp_path)
        assert set(first) == {"postgres", "valkey", "kafka"}
        assert {address for pid in first.values() for address in addresses(pid)} == {"127.0.0.1"}
        write(stack.environment)
        states.clear()
        for pid in first.values():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: sum(state == "ready" for _, state in states) == 3, 40)
        assert read(stack.environment) == expected
        second = running_processes(tmp_path)
    assert all(gone(pid) for pid in [*first.values(), *second.values()])
    assert running_processes(tmp_path) == {}

    with Infrastructure(tmp_path).running() as moved:
        assert read(moved.environment) == expected
        assert moved.environment["DATABASE_URL"] != stack.environment["DATABASE_URL"]
        assert stored_environment(tmp_path).items() <= moved.environment.items()
        refuses_other_passwords(moved)


def refuses_other_passwords(stack):
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(
            f"postgresql://sentineliq:guess@127.0.0.1:{stack.ports.postgres}/sentineliq"
        )
    with (
        redis.Redis(host="127.0.0.1", port=stack.ports.valkey) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()
    for name in ("secrets.json", "environment.json", "valkey/valkey.conf"):
        assert (stack.data_dir / name).stat().st_mode & 0o777 == 0o600
    assert (
        json.loads((stack.data_dir / "secrets.json").read_text())["database_password"]
        in stack.environment["DATABASE_URL"]
    )

"""The event catalogue as an AsyncAPI 3.0 document.

Usage: `python -m shared.events.asyncapi > docs/asyncapi.yaml`.
Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import sys
from typing import Any

import msgspec
import yaml

from shared.events import CATALOGUE, Topic

_HEADERS = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_tenant"],
    "properties": {
        "ce_specversion": {"const": "1.0"},
        "ce_id": {
            "type": "string",
            "description": "unique per source; a repeated event repeats it",
        },
        "ce_type": {"type": "string", "description": "the topic's name"},
        "ce_source": {"type": "string", "description": "the service that publishes it"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_tenant": {"type": "string", "description": "the tenant that it belongs to"},
        "ce_signature": {
            "type": "string",
            "description": "who made the record: `1.<service>.<key id>.<signature>`, Ed25519 over "
            "topic, key, attributes and payload; consumers of SentinelIQ pass over records without",
        },
        "traceparent": {"type": "string", "description": "W3C trace context"},
    },
}


_SERVERS = {
    "one_machine": {
        "host": "127.0.0.1:19092",
        "protocol": "kafka",
        "description": "What `sentineliq up` starts. The login of the command line, `operator`, "
        "may read all topics; docs/kafka.md says where its password is.",
        "security": [
            {"$ref": "#/components/securitySchemes/scram256"},
            {"$ref": "#/components/securitySchemes/scram512"},
        ],
    },
    "own_cluster": {
        "host": "{bootstrap_servers}",
        "protocol": "kafka-secure",
        "description": "The cluster that KAFKA_BOOTSTRAP_SERVERS names.",
        "variables": {
            "bootstrap_servers": {"description": "host:port,…", "examples": ["kafka.internal:9093"]}
        },
    },
}
_SECURITY = {
    "scram256": {"type": "scramSha256", "description": "SASL with SCRAM-SHA-256"},
    "scram512": {
        "type": "scramSha512",
        "description": "the same with SCRAM-SHA-512, after every other rotation of the logins",
    },
}


def _cleanup(topic: Topic[Any]) -> list[str]:
    if not topic.compacted:
        return ["delete"]
    return ["compact"] if topic.kept_days is None else ["compact", "delete"]


def document() -> dict[str, Any]:
    """Return the document: a channel, a message and an operation per topic, and all schemas."""
    schemas, components = msgspec.json.schema_components(
        [topic.payload for topic in CATALOGUE], ref_template="#/components/schemas/{name}"
    )
    payloads = dict(zip((topic.name for topic in CATALOGUE), schemas, strict=True))
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "SentinelIQ events",
            "version": "1",
            "description": "CloudEvents 1.0 over Kafka, binary content mode. Every topic has a "
            "dead-letter topic `<topic>.dead` with the original bytes and headers and the reason.",
        },
        "defaultContentType": "application/json",
        "servers": _SERVERS,
        "channels": {_slug(topic): _channel(topic) for topic in CATALOGUE},
        "operations": {f"receive_{_slug(topic)}": _operation(topic) for topic in CATALOGUE},
        "components": {
            "securitySchemes": _SECURITY,
            "schemas": components,
            "messages": {
                _slug(topic): _message(topic, payloads[topic.name]) for topic in CATALOGUE
            },
        },
    }


def _slug(topic: Topic[Any]) -> str:
    return topic.name.replace(".", "_")


def _channel(topic: Topic[Any]) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": topic.summary,
        "messages": {"event": {"$ref": f"#/components/messages/{_slug(topic)}"}},
        "bindings": {"kafka": {"topicConfiguration": {"cleanup.policy": _cleanup(topic)}}},
    }


def _operation(topic: Topic[Any]) -> dict[str, Any]:
    return {
        "action": "receive",
        "channel": {"$ref": f"#/channels/{_slug(topic)}"},
        "summary": topic.summary,
    }


def _message(topic: Topic[Any], payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": topic.payload.__name__,
        "summary": topic.summary,
        "headers": _HEADERS,
        "payload": payload,
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}}},
    }


class _Plain(yaml.SafeDumper):
    """A YAML dumper that repeats shared parts instead of writing aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Return whether a part is written without an alias: always."""
        return True


def render() -> str:
    """Return the document as YAML."""
    return yaml.dump(document(), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(render())

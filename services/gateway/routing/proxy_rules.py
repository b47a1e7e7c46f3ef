"""The routes of the edge as settings of nginx and Envoy, for those who put one of them in front.

A proxy with these settings sends the plain requests of programs straight to the services, which
verify tokens themselves. What needs the gateway (pages, sessions, API keys, Flower) goes to it. The
proxy refuses the same disguised paths, and drops the same headers.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from services.gateway.routing.passed_headers import PASSED
from services.gateway.routing.route_map import (
    EDGE_ROUTES,
    FLOWER,
    PROVIDER_CALLBACK,
    EdgeRoute,
)

_DISGUISED: Final = r"//|/\.\.?(/|$)|;|%2e|%2f|%5c|%3b|%00"
"""Of the path as it was sent: both proxies look at it before they decode anything."""
_BEARER: Final = "Bearer eyJ"
"""How the value of a token begins; an API key or a session needs the gateway."""
_GATEWAY: Final = "gateway"
_ANSWER_SECONDS: Final = 75

Json = dict[str, Any]


def routed(routes: tuple[EdgeRoute, ...] = EDGE_ROUTES) -> Iterator[EdgeRoute]:
    """The routes that a proxy may send straight to a service."""
    return (route for route in routes if route.upstream != FLOWER)


def authority(url: str) -> tuple[str, int]:
    """Host and port of an address."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def nginx_settings(urls: Mapping[str, str], server_name: str) -> str:
    """A file for nginx's `conf.d`.

    Args:
        urls: the addresses of the services and of the gateway.
        server_name: that clients use.
    """
    lines = [*_nginx_maps(urls), *_nginx_server(server_name)]
    for route in routed():
        lines += _nginx_location(route)
    lines += [
        # The code of a sign-in stands in the address.
        f"    location = {PROVIDER_CALLBACK} {{",
        "        access_log off;",
        f"        proxy_pass http://sentineliq_{_GATEWAY};",
        *_nginx_proxy(),
        "        proxy_set_header Cookie $http_cookie;",
        "    }",
        "    location / {",
        f"        proxy_pass http://sentineliq_{_GATEWAY};",
        *_nginx_proxy(),
        "        proxy_set_header Cookie $http_cookie;",
        "        proxy_set_header Origin $http_origin;",
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"


_ADDED: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
)


def _upstreams() -> list[str]:
    return [*dict.fromkeys(route.upstream for route in routed()), _GATEWAY]


def _nginx_maps(urls: Mapping[str, str]) -> list[str]:
    """The upstreams, and what nginx reads of a request."""
    lines = ["# The routes of SentinelIQ's gateway, written by `sentineliq gateway edge nginx`."]
    for name in _upstreams():
        host, port = authority(urls[name])
        lines += [
            f"upstream sentineliq_{name} {{",
            f"    server {host}:{port};",
            "    keepalive 64;",
            "    keepalive_timeout 3s;",
            "}",
        ]
    lines += [
        "map $http_authorization $sentineliq_is_token {",
        "    default 0;",
        f'    "~^{_BEARER}" 1;',
        "}",
        "map $request_uri $sentineliq_path {",
        '    "~^(?<path>[^?]*)" $path;',
        "}",
        # The target as it was sent: what nginx decodes, it would encode in its own way.
        "map $request_uri $sentineliq_target {",
        *(
            f'    "~^{route.prefix}(?<rest_{number}>/.*)$" {route.target}$rest_{number};'
            for number, route in enumerate(routed())
        ),
        "    default $request_uri;",
        "}",
    ]
    return lines


def _nginx_server(server_name: str) -> list[str]:
    """The head of the server."""
    return [
        "server {",
        "    # With your certificate: listen 443 ssl; ssl_certificate …; ssl_certificate_key …;",
        "    listen 127.0.0.1:8080;",
        f"    server_name {server_name};",
        "    merge_slashes off;",
        "    server_tokens off;",
        "    ignore_invalid_headers on;",
        "    underscores_in_headers off;",
        "    client_max_body_size 1g;",
        "    client_header_timeout 15s;",
        "    client_body_timeout 30s;",
        "    large_client_header_buffers 4 16k;",
        f"    if ($sentineliq_path ~* '{_DISGUISED}') {{ return 400; }}",
        *(f"    add_header {name} {value} always;" for name, value in _ADDED),
    ]


def _nginx_location(route: EdgeRoute) -> list[str]:
    """A location; a request without a token of its own goes to the gateway."""
    target = f"http://sentineliq_{route.upstream}"
    place = f"{route.prefix}{route.within}"
    lines = [f"    location {place} {{"]
    if route.access == "token":
        lines += [
            f"        error_page 418 = @sentineliq_{route.upstream}_by_gateway;",
            "        if ($sentineliq_is_token = 0) { return 418; }",
        ]
    else:
        lines.append("        access_log off;")  # the addresses of lists are secrets
    lines += [
        f"        proxy_pass {target}$sentineliq_target;",
        *_nginx_proxy(),
        *(
            ["        proxy_set_header X-Api-Key $http_x_api_key;"]
            if route.access == "service"
            else []
        ),
        "    }",
    ]
    if route.access == "token":
        lines += [
            f"    location @sentineliq_{route.upstream}_by_gateway {{",
            f"        proxy_pass http://sentineliq_{_GATEWAY}$request_uri;",
            *_nginx_proxy(),
            "        proxy_set_header Cookie $http_cookie;",
            "        proxy_set_header Origin $http_origin;",
            "    }",
        ]
    return lines


def _nginx_proxy() -> list[str]:
    passed = sorted(name.decode() for name in PASSED | {b"authorization"})
    return [
        "        proxy_http_version 1.1;",
        "        proxy_pass_request_headers off;",
        "        proxy_set_header Host $http_host;",
        '        proxy_set_header Connection "";',
        "        proxy_set_header Content-Length $content_length;",
        "        proxy_set_header X-Forwarded-For $remote_addr;",
        "        proxy_set_header X-Forwarded-Proto $scheme;",
        "        proxy_set_header X-Forwarded-Host $http_host;",
        '        proxy_set_header Via "1.1 sentineliq";',
        *(
            f"        proxy_set_header {name.title()} $http_{name.replace('-', '_')};"
            for name in passed
        ),
        "        proxy_request_buffering off;",
        "        proxy_buffering off;",
        "        proxy_connect_timeout 2s;",
        f"        proxy_read_timeout {_ANSWER_SECONDS}s;",
        "        proxy_send_timeout 60s;",
        "        proxy_next_upstream off;",
    ]


def envoy_settings(urls: Mapping[str, str], server_name: str) -> Json:
    """The static resources of Envoy.

    Args:
        urls: the addresses of the services and of the gateway.
        server_name: that clients use.
    """
    manager = {
        "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "sentineliq",
        "normalize_path": False,
        "merge_slashes": False,
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "use_remote_address": True,
        "xff_num_trusted_hops": 0,
        "via": "sentineliq",
        "server_header_transformation": "PASS_THROUGH",
        "stream_idle_timeout": "120s",
        "request_headers_timeout": "15s",
        "max_request_headers_kb": 16,
        "common_http_protocol_options": {
            "headers_with_underscores_action": "REJECT_REQUEST",
            "max_headers_count": 100,
        },
        "http_filters": [
            {"name": "router", "typed_config": {"@type": _type("filters.http.router.v3.Router")}}
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "sentineliq",
                    "domains": [server_name] if server_name != "_" else ["*"],
                    "routes": list(_envoy_routes()),
                    "request_headers_to_remove": list(_REMOVED),
                    "response_headers_to_add": [
                        {"header": {"key": name.lower(), "value": value}} for name, value in _ADDED
                    ],
                }
            ]
        },
    }
    listener = {
        "name": "sentineliq",
        "address": _envoy_address("127.0.0.1", 8080),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [_envoy_cluster(name, urls[name]) for name in _upstreams()]
    return {"static_resources": {"listeners": [listener], "clusters": clusters}}


_REMOVED: Final = (
    "forwarded",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "x-real-ip",
    "x-remote-user",
    "x-auth-request-user",
)


def _envoy_routes() -> Iterator[Json]:
    yield {
        "match": {"safe_regex": {"regex": f"(?i).*({_DISGUISED}).*"}},
        "direct_response": {"status": 400},
    }
    for route in routed():
        match: Json = {"prefix": f"{route.prefix}{route.within}"}
        if route.access == "token":
            match["headers"] = [
                {"name": "authorization", "string_match": {"prefix": _BEARER}},
            ]
        yield {
            "match": match,
            "request_headers_to_remove": ["cookie", "origin"],
            "route": {
                "cluster": f"sentineliq_{route.upstream}",
                "prefix_rewrite": f"{route.target}{route.within}",
                "timeout": "0s",
                "idle_timeout": "120s",
            },
        }
    yield {
        "match": {"prefix": "/"},
        "route": {"cluster": f"sentineliq_{_GATEWAY}", "timeout": "0s"},
    }


def _envoy_cluster(name: str, url: str) -> Json:
    host, port = authority(url)
    endpoint = {"endpoint": {"address": _envoy_address(host, port)}}
    return {
        "name": f"sentineliq_{name}",
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": f"sentineliq_{name}",
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _envoy_address(host: str, port: int) -> Json:
    return {"socket_address": {"address": host, "port_value": port}}


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"

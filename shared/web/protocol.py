"""uvicorn's HTTP protocol, with problem details for requests that are not HTTP.

uvicorn answers them itself, before any application: status 400, `text/plain`, one sentence. None of
its protocols (httptools, h11) has a setting for that response, and none tells a target that is too
long (RFC 9110, 15.5.15) from other malformed requests. Hence this subclass of one method.
"""

from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_TARGET: Final = 65_535
"""Bytes that httptools reads of a request's path and query."""


class ProblemHttpProtocol(HttpToolsProtocol):
    """Answers malformed requests with problem details (RFC 9457), like every other error."""

    def send_400_response(self, msg: str) -> None:
        """Name the error and close the connection: the next request's beginning is unknown."""
        status = 400
        phrase = "Bad Request"
        code = "bad-request"
        title = msg
        if len(self.url) > MAX_TARGET:
            status = 414
            phrase = "URI Too Long"
            code = "uri-too-long"
            title = (
                f"Path and query may have {MAX_TARGET:,} bytes; "
                "send more values in the body of a POST."
            )
        body = msgspec.json.encode(
            {"type": f"urn:sentineliq:problem:{code}", "title": title, "status": status}
        )
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

"""HTTP as uvicorn speaks it, with a problem for those who do not."""

from typing import Final

import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_TARGET: Final = 65_535
"""Bytes of a request's path and query that httptools reads."""


class Protocol(HttpToolsProtocol):
    """Answers requests that are none with problem details (RFC 9457), as every other error is answered."""

    def send_400_response(self, msg: str) -> None:
        """Say what is wrong, and close the connection: where the next request begins cannot be known."""
        status, code, title = 400, "bad-request", msg
        if len(self.url) > MAX_TARGET:
            status, code = 414, "uri-too-long"
            title = f"Path and query may have {MAX_TARGET:,} bytes; send more values in the body of a POST."
        body = msgspec.json.encode(
            {"type": f"urn:sentineliq:problem:{code}", "title": title, "status": status}
        )
        phrase = "URI Too Long" if status == 414 else "Bad Request"
        head = (
            f"HTTP/1.1 {status} {phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

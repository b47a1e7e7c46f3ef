"""Guessing the format of a payload, and parsing it, in a child process."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np
import zstandard

from services.feeds.formats.registry import format_named, guess_format
from services.feeds.formats.streams import HEAD
from services.feeds.snapshots.document_parser import DocumentParser
from services.feeds.snapshots.parsed_blocks import Parse, ParseOrder, ParserMessage
from shared.sandbox.files import mapped, memory_file, reopened
from shared.sandbox.limits import JobLimits
from shared.sandbox.pool import SandboxPool
from shared.sandbox.process import OnWait

_messages: Final = msgspec.msgpack.Decoder(ParserMessage)


class ParseRequest(msgspec.Struct):
    """A payload to parse; its file comes first, then the digests of known lines.

    Attributes:
        format: name of its format.
        options: the format's options.
        known_digest, wants_texts: see `ParseOrder`.
        is_public: see `DocumentParser`.
    """

    format: str
    options: dict[str, Any]
    known_digest: str | None
    wants_texts: bool
    is_public: bool = False


class FormatGuess(msgspec.Struct):
    """The probable format of a document, and why."""

    format: str
    reason: str


def parser_of_payload(
    sandbox: SandboxPool,
    payload: BinaryIO,
    format_name: str,
    options: Mapping[str, Any],
    limits: JobLimits,
    on_wait: OnWait | None = None,
    *,
    is_public: bool = False,
) -> Parse:
    """A parser of a stored payload that works in a child process.

    Args:
        sandbox: the children.
        payload: the payload's file, as it is stored.
        format_name: its format.
        options: the format's options.
        limits: of the parser.
        on_wait: called while it computes; may raise to stop it.
        is_public: see `DocumentParser`.
    """

    def parse(order: ParseOrder) -> Iterator[ParserMessage]:
        request = ParseRequest(
            format_name, dict(options), order.known_digest, order.wants_texts, is_public
        )
        files = [payload.fileno()]
        with ExitStack() as stack:
            if order.known_lines is not None:
                lines = np.ascontiguousarray(order.known_lines)
                files.append(stack.enter_context(memory_file(lines.view(np.uint8).data)))
            encoded = msgspec.msgpack.encode(request)
            for frame in sandbox.run(parse_job, encoded, files, limits, on_wait=on_wait):
                yield _messages.decode(frame)

    return parse


def guess_payload_format(
    sandbox: SandboxPool, payload: BinaryIO, name: str, limits: JobLimits
) -> FormatGuess:
    """The probable format of a stored payload.

    Args:
        sandbox: the children.
        payload: the payload's file, as it is stored.
        name: file name or address.
        limits: of the guess.

    Raises:
        MalformedDocument, InvalidInput: see `guess_format`.
    """
    frame = sandbox.call(guess_job, name.encode("utf-8", "replace"), [payload.fileno()], limits)
    return msgspec.msgpack.decode(frame, type=FormatGuess)


def parse_job(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Parse a payload, in the child."""
    order = msgspec.msgpack.decode(request, type=ParseRequest)
    lines = np.frombuffer(mapped(files[1]), np.uint64) if len(files) > 1 else None
    parse_order = ParseOrder(order.known_digest, lines, order.wants_texts)
    parser = DocumentParser(
        format_named(order.format), order.options, parse_order, is_public=order.is_public
    )
    encode = msgspec.msgpack.Encoder().encode
    for message in parser.parse(partial(payload_content, files[0])):
        yield encode(message)


def guess_job(request: bytes, files: list[int]) -> Iterator[bytes]:
    """Guess the format of a payload, in the child."""
    with payload_content(files[0]) as stream:
        guess = guess_format(request.decode(), stream.read(HEAD))
    yield msgspec.msgpack.encode(FormatGuess(*guess))


@contextmanager
def payload_content(descriptor: int) -> Iterator[BinaryIO]:
    """The content of a stored payload, from its beginning."""
    with (
        reopened(descriptor) as file,
        zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as stream,
    ):
        yield stream

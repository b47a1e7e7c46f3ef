"""The index of ATT&CK's names: the ids that a malware family and tags stand for. No I/O.

Feeds spell names in many ways: `Cobalt Strike`, `cobalt_strike`, `win.cobalt_strike` (Malpedia),
`misp-galaxy:mitre-malware="Cobalt Strike - S0154"` (MISP galaxies). All of them are one name here.
An id stands for itself, if ATT&CK has it; software and groups also stand for the techniques that
they use.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from shared.errors import InvalidInput
from shared.events.mitre import TechniqueCard, UserKind

_ID: Final = re.compile(r"[TSG][0-9]{4}(?:\.[0-9]{3})?", re.ASCII)
_GALAXY: Final = re.compile(r'misp-galaxy:([a-z0-9-]+)="?([^"]+)"?', re.IGNORECASE | re.ASCII)
_NAMESPACED: Final = re.compile(
    r'([a-z][a-z &_-]*)(?::[a-z0-9_-]+)?[:=]"?([^":=]+)"?', re.IGNORECASE | re.ASCII
)
# The platform that Malpedia, and feeds in its manner, write before a family.
_PLATFORM: Final = re.compile(
    r"(?:win|elf|osx|apk|ios|jar|js|py|php|ps1|vbs|sh|asp|swf|symbian|fas)\.(?=.)"
)
_KINDS: Final = frozenset({"malware", "tool", "group"})
# fmt: off
_NAMED_IN_GALAXIES: Final = frozenset({
    "malpedia", "tool", "ransomware", "botnet", "rat", "banker", "stealer", "backdoor", "android",
    "cryptominers", "threat-actor", "microsoft-activity-group", "360net-threat-actor",
})
_NAMESPACES: Final = frozenset({
    "malware", "malware-family", "family", "software", "tool", "ransomware", "botnet", "stealer",
    "rat", "actor", "threat-actor", "group", "apt", "intrusion-set", "attack", "mitre",
    "mitre-attack", "att&ck", "technique",
})
# Kinds of malware. Some are the alias of a group as well, but as a tag they name a kind.
_NO_NAMES: Final = frozenset({
    "wiper", "backdoor", "ransomware", "trojan", "loader", "downloader", "dropper", "bot",
    "botnet", "rat", "stealer", "infostealer", "keylogger", "miner", "rootkit", "worm", "exploit",
    "webshell", "spyware", "adware", "banker",
})
# fmt: on
_SHORTEST: Final = 3

AttackIds = tuple[str, ...]
NO_IDS: Final[AttackIds] = ()


class _Packed(msgspec.Struct, array_like=True):
    """The index as it is stored.

    Attributes:
        techniques: each id, and the id that counts for it: its own, or that of its successor.
        users: techniques by the id of the software or group.
        names: ids of software and groups by name, by kind.
    """

    techniques: dict[str, str] = {}
    users: dict[str, list[str]] = {}
    names: dict[str, dict[str, list[str]]] = {}


def normalize_name(name: str) -> str:
    """A name without case, spaces, dashes and other signs."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def pack(cards: Iterable[TechniqueCard]) -> bytes:
    """The cards of techniques as one piece for `AttackIndex`; the order of cards is irrelevant."""
    by_id = {card.attack_id: card for card in cards}
    techniques: dict[str, str] = {}
    users: defaultdict[str, set[str]] = defaultdict(set)
    names: dict[UserKind, defaultdict[str, set[str]]] = {
        kind: defaultdict(set) for kind in ("malware", "tool", "group")
    }
    for attack_id in sorted(by_id):
        current = _current_id(attack_id, by_id)
        if current is None:
            continue
        techniques[attack_id] = current
        for user in (*by_id[attack_id].software, *by_id[attack_id].groups):
            users[user.attack_id].add(current)
            for name in (user.name, *user.aliases):
                if key := normalize_name(name):
                    names[user.kind][key].add(user.attack_id)
    return msgspec.msgpack.encode(
        _Packed(
            techniques,
            _sorted(users),
            {kind: _sorted(ids_by_name) for kind, ids_by_name in names.items()},
        )
    )


def _current_id(attack_id: str, cards: Mapping[str, TechniqueCard]) -> str | None:
    """The technique that counts for an id; None when it ended without a successor."""
    for _ in range(len(cards)):
        card = cards.get(attack_id)
        if card is None:
            return None
        if not card.revoked:
            return None if card.deprecated else attack_id
        if card.revoked_by is None:
            return None
        attack_id = card.revoked_by
    return None  # the successors form a circle


def _sorted(sets: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {key: sorted(sets[key]) for key in sorted(sets)}


class AttackIndex:
    """The packed index, which finds ids for the words of assertions.

    Args:
        packed: what `pack` returned.

    Raises:
        InvalidInput: the bytes are no packed index.
    """

    def __init__(self, packed: bytes | memoryview) -> None:
        try:
            index = msgspec.msgpack.decode(packed, type=_Packed)
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidInput(f"This is no packed index of ATT&CK: {error}") from error
        self._techniques = index.techniques
        self._users = index.users
        self._names = list(index.names.items())
        # Assertions repeat a few thousand combinations.
        self.attack_ids = lru_cache(maxsize=65_536)(self._attack_ids)

    def _attack_ids(self, malware: str | None, tags: AttackIds) -> AttackIds:
        """ATT&CK ids of a malware family and tags, sorted.

        A family is software or, where no software has that name, a group. A plain tag is malware
        or a group: tools of ATT&CK have names such as `at`, `ftp` and `net`, which a tag must name
        as a tool.
        """
        named: set[str] = set()
        if malware:
            named.update(self._ids_of_family(malware))
        for tag in tags:
            named.update(self._ids_of_tag(tag))
        ids = set(named)
        for attack_id in named:
            ids.update(self._users.get(attack_id, ()))
        return tuple(sorted(ids))

    def _ids_of_family(self, name: str) -> Sequence[str]:
        if (attack_id := self._known_id(name)) is not None:
            return [attack_id]
        plain = _PLATFORM.sub("", name.strip().casefold(), count=1)
        return self._ids_of_name(plain, ("malware", "tool")) or self._ids_of_name(plain, ("group",))

    def _ids_of_tag(self, tag: str) -> Sequence[str]:
        kinds: Iterable[str] = ("malware", "group")
        name = tag
        if galaxy := _GALAXY.fullmatch(tag):
            # A galaxy of MITRE ends names with their id, which tells namesakes apart.
            name = galaxy[2]
            kinds = _KINDS
            if (attack_id := self._known_id(name.rpartition(" - ")[2])) is not None:
                return [attack_id]
            if not _is_galaxy_of_names(galaxy[1].casefold()):
                return NO_IDS
        elif tagged := _NAMESPACED.fullmatch(tag):
            name = tagged[2]
            kinds = _KINDS
            if tagged[1].casefold() not in _NAMESPACES:
                return NO_IDS
        if (attack_id := self._known_id(name)) is not None:
            return [attack_id]
        return self._ids_of_name(name, kinds)

    def _known_id(self, text: str) -> str | None:
        """The id that a text is, if ATT&CK has it."""
        attack_id = text.strip().upper()
        if _ID.fullmatch(attack_id) is None:
            return None
        if attack_id[0] == "T":
            return self._techniques.get(attack_id)
        return attack_id if attack_id in self._users else None

    def _ids_of_name(self, name: str, kinds: Iterable[str]) -> list[str]:
        key = normalize_name(name)
        ids: list[str] = []
        if len(key) >= _SHORTEST and key not in _NO_NAMES:
            for kind, names in self._names:
                if kind in kinds:
                    ids += names.get(key, ())
        return ids


def _is_galaxy_of_names(galaxy: str) -> bool:
    return galaxy in _NAMED_IN_GALAXIES or galaxy.startswith("mitre-")

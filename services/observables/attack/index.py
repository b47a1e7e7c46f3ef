"""The index of ATT&CK's names: the ids that a malware family and tags stand for. No I/O.

Feeds spell names in many ways: `Cobalt Strike`, `cobalt_strike`, `win.cobalt_strike` (Malpedia),
`misp-galaxy:mitre-malware="Cobalt Strike - S0154"` (MISP galaxies). All of them are one name here.
An id stands for itself, if ATT&CK has it; software and groups also stand for the techniques that
they use. Those are context: `statements` tells them from what the source itself states.

A plain tag may be any word, so it maps by a list of names alone (`names.txt`), and a name that
stands for several things maps to none of them.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from services.observables.attack.names import NAMES, normalize_name
from shared.errors import InvalidInput
from shared.events.mitre import TechniqueCard, UserKind

_ID: Final = re.compile(r"[TSG][0-9]{4}(?:\.[0-9]{3})?", re.ASCII)
_TECHNIQUE_TAG: Final = re.compile(r'(?:^|[:="]|\s-\s)(T[0-9]{4}(?:\.[0-9]{3})?)"?\s*$', re.ASCII)
"""A tag that is, or ends in, the id of a technique."""
_GALAXY: Final = re.compile(r'misp-galaxy:([a-z0-9-]+)="?([^"]+)"?', re.IGNORECASE | re.ASCII)
_NAMESPACED: Final = re.compile(
    r'([a-z][a-z &_-]*)(?::[a-z0-9_-]+)?[:=]"?([^":=]+)"?', re.IGNORECASE | re.ASCII
)
# The platform that Malpedia, and feeds in its manner, write before a family.
_PLATFORM: Final = re.compile(
    r"(?:win|elf|osx|apk|ios|jar|js|py|php|ps1|vbs|sh|asp|swf|symbian|fas)\.(?=.)"
)
_SOFTWARE: Final = ("malware", "tool")
_GROUPS: Final = ("group",)
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
_OF_GROUPS: Final = frozenset({
    "actor", "threat-actor", "group", "apt", "intrusion-set", "microsoft-activity-group",
    "360net-threat-actor", "mitre-intrusion-set",
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


class Statements(NamedTuple):
    """ATT&CK ids of an assertion, by how they came there.

    Attributes:
        stated: what the source names: software, groups, and techniques by their ids.
        inherited: techniques that this software and these groups use, according to ATT&CK: what
            may be met, and not what was.
    """

    stated: AttackIds
    inherited: AttackIds


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
        self._names: defaultdict[str, dict[str, list[str]]] = defaultdict(dict, index.names)
        # Assertions repeat a few thousand combinations.
        self.attack_ids = lru_cache(maxsize=65_536)(self._attack_ids)

    def _attack_ids(self, malware: str | None, tags: AttackIds) -> AttackIds:
        """ATT&CK ids of a malware family and tags, sorted.

        A family is software or, where no software has that name, a group. A plain tag is what the
        list of names says.
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
        return self._ids_of_name(plain, _SOFTWARE, _GROUPS)

    def _ids_of_tag(self, tag: str) -> Sequence[str]:
        namespace, name = _split_tag(tag)
        if namespace is None:
            attack_id = self._known_id(tag) or self._listed_id(tag)
            return NO_IDS if attack_id is None else [attack_id]
        # A galaxy of MITRE ends names with their id, which tells namesakes apart.
        of_galaxy = self._known_id(name.rpartition(" - ")[2])
        if of_galaxy is not None and _GALAXY.fullmatch(tag):
            return [of_galaxy]
        if namespace not in _NAMESPACES and not _is_galaxy_of_names(namespace):
            return NO_IDS
        if (attack_id := self._known_id(name)) is not None:
            return [attack_id]
        tiers = (_SOFTWARE, _GROUPS)
        return self._ids_of_name(name, *(tiers[::-1] if namespace in _OF_GROUPS else tiers))

    def _known_id(self, text: str) -> str | None:
        """The id that a text is, if ATT&CK has it."""
        attack_id = text.strip().upper()
        if _ID.fullmatch(attack_id) is None:
            return None
        if attack_id[0] == "T":
            return self._techniques.get(attack_id)
        return attack_id if attack_id in self._users else None

    def _listed_id(self, tag: str) -> str | None:
        """The id that a plain tag stands for by the list of names, if ATT&CK has it."""
        attack_id = NAMES.plain.get(normalize_name(tag))
        return attack_id if attack_id in self._users else None

    def _ids_of_name(self, name: str, *tiers: Sequence[str]) -> Sequence[str]:
        """The id of what has a name, by the first tier of kinds that has one.

        A name that several things of a tier have, or that is known to be shared, stands for none.
        """
        key = normalize_name(name)
        if len(key) < _SHORTEST or key in _NO_NAMES or key in NAMES.ambiguous:
            return NO_IDS
        for kinds in tiers:
            ids = {attack_id for kind in kinds for attack_id in self._names[kind].get(key, ())}
            if ids:
                return tuple(ids) if len(ids) == 1 else NO_IDS
        attack_id = NAMES.declared.get(key)
        return [attack_id] if attack_id in self._users and attack_id is not None else NO_IDS


def _split_tag(tag: str) -> tuple[str | None, str]:
    """The namespace or galaxy of a tag, and the name in it; a plain tag has none."""
    match = _GALAXY.fullmatch(tag) or _NAMESPACED.fullmatch(tag)
    return (match[1].casefold(), match[2]) if match else (None, tag)


def _is_galaxy_of_names(galaxy: str) -> bool:
    return galaxy in _NAMED_IN_GALAXIES or galaxy.startswith("mitre-")


@lru_cache(maxsize=65_536)
def statements(attack: AttackIds, tags: AttackIds) -> Statements:
    """Tell what a source states from what follows from it, by its ATT&CK ids and its tags.

    A technique is stated if a tag holds its id. Where no software or group is named, every
    technique is stated: a tag may hold the id of one that another has replaced.
    """
    if not any(attack_id[0] in "SG" for attack_id in attack):
        return Statements(attack, NO_IDS)
    named = {match[1] for tag in tags if (match := _TECHNIQUE_TAG.search(tag.upper()))}
    stated = tuple(attack_id for attack_id in attack if attack_id[0] in "SG" or attack_id in named)
    return Statements(stated, tuple(sorted(set(attack) - set(stated))))

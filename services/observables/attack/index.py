"""The index of ATT&CK's names: what a malware family and tags stand for. No I/O.

Feeds spell names in many ways: `Cobalt Strike`, `cobalt_strike`, `win.cobalt_strike` (Malpedia),
`misp-galaxy:mitre-malware="Cobalt Strike - S0154"` (MISP galaxies). All of them are one name here. An id stands for
itself, as far as ATT&CK knows it; software and groups also stand for the techniques that they use.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from shared.errors import InvalidInput
from shared.events.mitre import TechniqueCard, UserKind

_ID: Final = re.compile(r"[TSG][0-9]{4}(?:\.[0-9]{3})?", re.ASCII)
_GALAXY: Final = re.compile(r'misp-galaxy:([a-z0-9-]+)="?([^"]+)"?', re.IGNORECASE | re.ASCII)
_TAGGED: Final = re.compile(
    r'([a-z][a-z &_-]*)(?::[a-z0-9_-]+)?[:=]"?([^":=]+)"?', re.IGNORECASE | re.ASCII
)
# How Malpedia, and those who follow it, write the platform before a family.
_PLATFORM: Final = re.compile(
    r"(?:win|elf|osx|apk|ios|jar|js|py|php|ps1|vbs|sh|asp|swf|symbian|fas)\.(?=.)"
)
_KINDS: Final = frozenset({"malware", "tool", "group"})
_NAMED_IN_GALAXIES: Final = frozenset(
    {"malpedia", "tool", "ransomware", "botnet", "rat", "banker", "stealer", "backdoor", "android", "cryptominers",
     "threat-actor", "microsoft-activity-group", "360net-threat-actor"}
)  # fmt: skip
_NAMESPACES: Final = frozenset(
    {"malware", "malware-family", "family", "software", "tool", "ransomware", "botnet", "stealer", "rat", "actor",
     "threat-actor", "group", "apt", "intrusion-set", "attack", "mitre", "mitre-attack", "att&ck", "technique"}
)  # fmt: skip
# Kinds of malware, some of which are somebody's name as well: a tag that says one of these names nobody.
_NO_NAMES: Final = frozenset(
    {"wiper", "backdoor", "ransomware", "trojan", "loader", "downloader", "dropper", "bot", "botnet", "rat", "stealer",
     "infostealer", "keylogger", "miner", "rootkit", "worm", "exploit", "webshell", "spyware", "adware", "banker"}
)  # fmt: skip
_SHORTEST: Final = 3

Ids = tuple[str, ...]
NOTHING: Final[Ids] = ()


class _Packed(msgspec.Struct, array_like=True):
    """What the index is kept as.

    Attributes:
        techniques: each id, and the id that counts for it: its own, or that of what took its place.
        users: techniques by the id of the software or group.
        names: ids of software and groups by name, by kind.
    """

    techniques: dict[str, str] = {}
    users: dict[str, list[str]] = {}
    names: dict[str, dict[str, list[str]]] = {}


def normalised(name: str) -> str:
    """A name without case, spaces, dashes and other signs."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def pack(cards: Iterable[TechniqueCard]) -> bytes:
    """The cards of techniques as one piece for `Attack`; the same for the same cards in any order."""
    known = {card.attack_id: card for card in cards}
    techniques = {
        attack_id: now for attack_id in sorted(known) if (now := _now(attack_id, known)) is not None
    }
    users: defaultdict[str, set[str]] = defaultdict(set)
    called: set[tuple[UserKind, str, str]] = set()
    for attack_id, now in techniques.items():
        for user in (*known[attack_id].software, *known[attack_id].groups):
            users[user.attack_id].add(now)
            called.update((user.kind, name, user.attack_id) for name in (user.name, *user.aliases))
    names: dict[UserKind, defaultdict[str, set[str]]] = {
        kind: defaultdict(set) for kind in ("malware", "tool", "group")
    }
    for kind, name, attack_id in called:
        if key := normalised(name):
            names[kind][key].add(attack_id)
    return msgspec.msgpack.encode(
        _Packed(techniques, _sorted(users), {kind: _sorted(found) for kind, found in names.items()})
    )


def _now(attack_id: str, known: Mapping[str, TechniqueCard]) -> str | None:
    """The technique that counts for an id; None when it ended without a successor."""
    for _ in range(len(known)):
        card = known.get(attack_id)
        if card is None:
            return None
        if not card.revoked:
            return None if card.deprecated else attack_id
        if card.revoked_by is None:
            return None
        attack_id = card.revoked_by
    return None  # they take each other's place in a circle


def _sorted(sets: Mapping[str, set[str]]) -> dict[str, list[str]]:
    return {key: sorted(sets[key]) for key in sorted(sets)}


class Attack:
    """The packed index, asked by what assertions say.

    Args:
        packed: what `pack` made.

    Raises:
        InvalidInput: it is nothing of ours.
    """

    def __init__(self, packed: bytes | memoryview) -> None:
        try:
            found = msgspec.msgpack.decode(packed, type=_Packed)
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidInput(f"This is no packed index of ATT&CK: {error}") from error
        self._techniques, self._users = found.techniques, found.users
        self._names = [(kind, names) for kind, names in found.names.items()]
        self.stands_for = lru_cache(maxsize=65_536)(self._stands_for)

    def _stands_for(self, malware: str | None, tags: Ids) -> Ids:
        """ATT&CK ids of a malware family and tags, sorted; of a combination that was asked for before, at once.

        A family is software or, where there is none of that name, a group. A plain tag is malware or a group: tools
        of ATT&CK bear names such as `at`, `ftp` and `net`, and are only meant where a tag says that it names one.
        """
        found: set[str] = set()
        if malware:
            found.update(self._family(malware))
        for tag in tags:
            found.update(self._tag(tag))
        found.update(technique for one in tuple(found) for technique in self._users.get(one, ()))
        return tuple(sorted(found))

    def _family(self, name: str) -> Iterator[str]:
        plain = _PLATFORM.sub("", name.strip().casefold(), count=1)
        if (one := self._id(name)) is not None:
            yield one
        else:
            yield from self._called(plain, ("malware", "tool")) or self._called(plain, ("group",))

    def _tag(self, tag: str) -> Sequence[str]:
        kinds: Iterable[str] = ("malware", "group")
        name = tag
        if galaxy := _GALAXY.fullmatch(tag):
            name, _, last = galaxy[2].rpartition(" - ")
            if (one := self._id(last)) is not None:
                return [one]
            name, kinds = galaxy[2], _KINDS
            if galaxy[1].casefold() not in _NAMED_IN_GALAXIES and not galaxy[
                1
            ].casefold().startswith("mitre-"):
                return NOTHING
        elif tagged := _TAGGED.fullmatch(tag):
            if tagged[1].casefold() not in _NAMESPACES:
                return NOTHING
            name, kinds = tagged[2], _KINDS
        if (one := self._id(name)) is not None:
            return [one]
        return self._called(name, kinds)

    def _id(self, text: str) -> str | None:
        """The id that a text is, if ATT&CK knows it."""
        one = text.strip().upper()
        if _ID.fullmatch(one) is None:
            return None
        return self._techniques.get(one) if one[0] == "T" else one if one in self._users else None

    def _called(self, name: str, kinds: Iterable[str]) -> list[str]:
        key = normalised(name)
        if len(key) < _SHORTEST or key in _NO_NAMES:
            return []
        return [one for kind, names in self._names if kind in kinds for one in names.get(key, ())]

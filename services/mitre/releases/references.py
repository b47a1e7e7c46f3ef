"""References of ATT&CK's objects: which one has the object's own id. No I/O."""

import msgspec


class ExternalReference(msgspec.Struct):
    """An external reference of a STIX object."""

    source_name: str = ""
    external_id: str | None = None
    url: str | None = None


def attack_reference(references: list[ExternalReference]) -> ExternalReference:
    """The reference with ATT&CK's own id.

    Its source is mitre-attack; in old releases mitre-mobile-attack and the like.
    """
    for reference in references:
        name = reference.source_name
        if name.startswith("mitre-") and name.endswith("attack") and reference.external_id:
            return reference
    return ExternalReference()

"""Which role follows from a provider's claims, and why each rule did or did not match. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from shared.auth import Role

_MAX_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """A rule: the role follows where the claim is, or contains, the value.

    Attributes:
        claim: its name; dots lead into objects: `realm_access.roles`.
        value: what the claim has to be, or to contain.
        role: what follows.
    """

    claim: str
    value: str
    role: str


@dataclass(frozen=True, slots=True)
class RuleOutcome:
    """What became of a rule."""

    claim: str
    value: str
    role: str
    is_match: bool
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return it as it is stored."""
        return asdict(self)


def apply_rules(
    rules: Sequence[ClaimRule], claims: Mapping[str, Any]
) -> tuple[Role | None, list[RuleOutcome]]:
    """Return the highest role that follows from claims, and what became of each rule."""
    outcomes = [_outcome(rule, claims) for rule in rules]
    roles = [Role[outcome.role] for outcome in outcomes if outcome.is_match]
    return max(roles, default=None), outcomes


def describe_outcomes(outcomes: Sequence[RuleOutcome]) -> str:
    """Return what a person who is refused may show an admin."""
    if not outcomes:
        return "The provider has no rules yet: no claim leads to a role."
    lines = [f"{outcome.claim} = {outcome.value}: {outcome.reason}" for outcome in outcomes]
    return "No rule leads to a role. " + "; ".join(lines) + "."


def _outcome(rule: ClaimRule, claims: Mapping[str, Any]) -> RuleOutcome:
    path, value = _find(rule.claim, claims)
    if path != rule.claim:
        reason = f"the provider sent no claim {path}"
        return RuleOutcome(rule.claim, rule.value, rule.role, False, reason)
    values = value if isinstance(value, list) else [value]
    is_match = any(_text(item) == rule.value for item in values)
    if is_match:
        reason = "it matches"
    elif isinstance(value, dict):
        reason = "the claim is an object: name a part of it"
    else:
        shown = ", ".join(map(_text, values))[:_MAX_SHOWN] or "nothing"
        reason = f"the claim has {shown}"
    return RuleOutcome(rule.claim, rule.value, rule.role, is_match, reason)


def _find(path: str, claims: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the path as far as it leads, with the part that is missing, and the value there."""
    if path in claims:
        return path, claims[path]
    value: Any = claims
    names: list[str] = []
    for name in path.split("."):
        names.append(name)
        if not isinstance(value, Mapping) or name not in value:
            return f"{'.'.join(names)} (of {path})" if len(names) > 1 else f"{name} ", None
        value = value[name]
    return path, value


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""

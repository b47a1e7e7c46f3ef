"""The retention of the gateway's tables."""

from typing import Final

from shared.retention import INFRASTRUCTURE, QUOTAS, RetentionPolicy

_PERSON: Final = "It stays as long as the person."

POLICIES: Final = (
    *INFRASTRUCTURE,
    *QUOTAS,
    RetentionPolicy(table="tenant", reason="A tenant stays until an operator deletes its rows."),
    RetentionPolicy(
        table="person", reason="A login never gets another owner: the audit would mislead."
    ),
    RetentionPolicy(table="member", reason="It stays until the membership ends."),
    RetentionPolicy(
        table="invitation",
        reason="It tells how a person became a member, or that nobody used the link.",
        days=90,
        minimum=1,
        age="expires_at",
    ),
    RetentionPolicy(table="password", reason=_PERSON),
    RetentionPolicy(
        table="guess",
        reason="Wrong guesses count for an hour.",
        days=1,
        minimum=1,
        age="guessed_at",
    ),
    RetentionPolicy(table="one_time_code", reason=_PERSON),
    RetentionPolicy(table="recovery_code", reason=_PERSON),
    RetentionPolicy(table="passkey", reason=_PERSON),
    RetentionPolicy(
        table="passkey_challenge",
        reason="A challenge is valid for five minutes.",
        days=1,
        minimum=1,
        age="expires_at",
    ),
    RetentionPolicy(
        table="session",
        reason="It tells from where somebody signed in, after the session has ended.",
        days=90,
        minimum=8,
        age="created_at",
    ),
    RetentionPolicy(table="provider", reason="It stays until its tenant deletes it."),
    RetentionPolicy(
        table="provider_request",
        reason="A sign-in at a provider takes ten minutes at most.",
        days=1,
        minimum=1,
        age="expires_at",
    ),
    RetentionPolicy(table="identity", reason="It stays as long as the provider and the person."),
    RetentionPolicy(
        table="api_key",
        reason="It tells what a key was for, after it has expired.",
        days=90,
        minimum=1,
        age="expires_at",
    ),
)

"""What the APIs' states are called on pages, and how strongly they show.

The names stand here in English; the catalogs of `locale/` have them in other languages.
"""

from typing import Any, Final


def _(text: str) -> str:
    """Mark a text for the catalogs; templates translate it."""
    return text


WORDS: Final[dict[str, str]] = {
    "malicious": _("Malicious"),
    "suspicious": _("Suspicious"),
    "weak": _("Weak"),
    "none": _("Nothing known against it"),
    "queued": _("Queued"),
    "running": _("Running"),
    "applying": _("Applying"),
    "succeeded": _("Succeeded"),
    "unconfirmed": _("Unconfirmed"),
    "unchanged": _("Unchanged"),
    "held": _("Held"),
    "failed": _("Failed"),
    "pending": _("Pending"),
    "delivering": _("Delivering"),
    "delivered": _("Delivered"),
    "silenced": _("Silenced"),
    "sending": _("Sending"),
    "retrying": _("Retrying"),
    "unknown": _("Unknown"),
    "waiting": _("Waiting"),
    "done": _("Done"),
    "refused": _("Refused"),
    "cancelled": _("Cancelled"),
    "healthy": _("Healthy"),
    "late": _("Late"),
    "empty": _("Empty"),
    "shrunk": _("Shrunk"),
    "drifted": _("Drifted"),
    "unauthorised": _("Unauthorised"),
    "unreachable": _("Unreachable"),
    "gone": _("Gone"),
    "never-fetched": _("Never fetched"),
    "new": _("New"),
    "open": _("Open"),
    "collecting": _("Collecting"),
    "closed": _("Closed"),
    "planned": _("Planned"),
    "active": _("Active"),
    "ended": _("Ended"),
    "low": _("Low"),
    "medium": _("Medium"),
    "high": _("High"),
    "critical": _("Critical"),
    "fired": _("Fired"),
    "missed": _("Missed"),
    "skipped": _("Skipped"),
    "source": _("Source"),
    "sighting": _("Sighting"),
    "confirmation": _("Confirmation"),
    "false-positive": _("False positive"),
    "confirmed-malicious": _("Confirmed malicious"),
    "seen": _("Seen"),
    "enrichment": _("Enrichment"),
    "allow-list": _("Allow-list"),
    "hosting": _("Hosting"),
    "changed": _("Changed"),
    "expired": _("Expired"),
    "health": _("Health of a feed"),
    "viewer": _("Viewer"),
    "analyst": _("Analyst"),
    "admin": _("Administrator"),
    "operator": _("Operator"),
    "system": _("As the system"),
    "light": _("Light"),
    "dark": _("Dark"),
    "contrast": _("High contrast"),
    "roomy": _("Roomy"),
    "dense": _("Dense"),
    "feeds": _("Feeds"),
    "observables": _("Observables"),
    "notifications": _("Notifications"),
    "mitre": _("ATT&CK"),
    "scheduler": _("Scheduler"),
    "gateway": _("Gateway"),
    "enterprise-attack": _("Enterprise"),
    "mobile-attack": _("Mobile"),
    "ics-attack": _("ICS"),
    "fetch": _("Fetched"),
    "upload": _("Uploaded"),
    "stored": _("Stored payload"),
    "retraction": _("Take-back"),
    "restoration": _("Restored"),
    "snapshot": _("Snapshot"),
    "stream": _("Stream"),
    "host": _("Host"),
    "port": _("Port"),
    "tls": _("Encryption"),
    "authorities": _("Certificates to trust"),
    "sender": _("Sender"),
    "to": _("Receiver"),
    "dkim_domain": _("DKIM domain"),
    "dkim_selector": _("DKIM selector"),
    "dkim_key": _("DKIM key"),
    "username": _("User name"),
    "user": _("User name"),
    "password": _("Password"),
    "url": _("Address"),
    "token": _("Token"),
    "api_key": _("API key"),
    "routing_key": _("Routing key"),
    "customer_id": _("Customer"),
    "status_id": _("Status of new alerts"),
    "severity_ids": _("Severities"),
    "project": _("Project"),
    "issue_type": _("Type of issue"),
    "api": _("Version of the API"),
    "close_transition": _("Transition that closes"),
    "distribution": _("Distribution"),
    "to_ids": _("For detection"),
    "channel": _("Channel"),
    "feed": _("Feed"),
    "rule": _("Rule"),
    "list": _("List"),
    "chat": _("Chat"),
    "format": _("Format"),
    "facility": _("Facility"),
    "organisation": _("Organisation"),
    "tlp": _("Marking"),
    "pap": _("Permitted actions"),
    "name": _("Name"),
}

_SENTENCES: Final[tuple[tuple[str, str], ...]] = (
    ("Field required", _("This is needed.")),
    ("String should have at least 1 character", _("This is needed.")),
    ("List should have at least 1 item", _("Choose at least one.")),
    ("Extra inputs are not permitted", _("This is not used here.")),
    ("String should match pattern", _("It is not written as it has to be.")),
    ("String should have at least", _("It is too short.")),
    ("String should have at most", _("It is too long.")),
    ("Input should be a valid integer", _("Write a whole number.")),
    ("Input should be greater than", _("The number is too small.")),
    ("Input should be less than", _("The number is too large.")),
    ("Input should be in a valid time format", _("Write a time, such as 22:00.")),
    ("Input should be a valid datetime", _("Write a date and a time.")),
)
"""What validation says, by its first words, in plain words."""

_TONES: Final[dict[str, str]] = {
    **dict.fromkeys(("malicious", "failed", "unreachable", "gone", "critical", "missed"), "bad"),
    **dict.fromkeys(
        ("suspicious", "held", "late", "empty", "shrunk", "drifted", "unauthorised", "high"), "warn"
    ),
    **dict.fromkeys(("never-fetched", "unconfirmed", "retrying", "refused", "medium"), "warn"),
    **dict.fromkeys(("succeeded", "healthy", "delivered", "done", "fired", "active"), "good"),
    **dict.fromkeys(("queued", "running", "applying", "pending", "delivering", "sending"), "busy"),
    **dict.fromkeys(("waiting", "collecting", "open"), "busy"),
}


def sentence_of(message: str) -> str:
    """What a message of validation means, in English plain words; empty if it says so itself."""
    return next((words for start, words in _SENTENCES if message.startswith(start)), "")


def tone(state: Any) -> str:
    """How a state shows: bad, warn, good, busy, or plain. Its word stands beside the colour."""
    return _TONES.get(str(state), "plain")

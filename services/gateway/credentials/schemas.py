"""Bodies of requests and answers about credentials."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints
from webauthn.helpers.bytes_to_base64url import bytes_to_base64url

from services.gateway.credentials.models import StoredPasskey
from services.gateway.credentials.passwords import MAX_LENGTH
from services.gateway.people.schemas import PersonName
from shared.bounded_json import BoundedObject

PasswordText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)]
CodeText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=6, max_length=32)]


class PasswordChange(BaseModel):
    """The password of now, and the one to use from now on."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    present: PasswordText
    password: PasswordText


class NewOneTimeCodes(BaseModel):
    """The secret of one-time codes, which is shown once; `uri` is what a QR code holds."""

    secret: str
    uri: str


class CodeBody(BaseModel):
    """A one-time code, or a recovery code."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    code: CodeText


class RecoveryCodes(BaseModel):
    """New recovery codes, which are shown once; each is good for one sign-in."""

    codes: list[str]


class PasskeyOptions(BaseModel):
    """What a browser passes on to `navigator.credentials`, and the challenge that it answers."""

    challenge_id: UUID
    options: dict[str, Any]


class PasskeyAnswer(BaseModel):
    """What an authenticator has signed, as `PublicKeyCredential.toJSON()` gives it."""

    model_config = ConfigDict(extra="forbid")

    challenge_id: UUID
    credential: BoundedObject


class PasskeyRegistration(PasskeyAnswer):
    """A new passkey, and what its owner calls it."""

    name: PersonName


class PasskeyView(BaseModel):
    """A passkey."""

    id: str
    name: str
    is_backed_up: bool
    created_at: datetime
    used_at: datetime | None

    @classmethod
    def of(cls, passkey: StoredPasskey) -> Self:
        """Describe a stored passkey."""
        return cls(
            id=bytes_to_base64url(passkey.credential_id),
            name=passkey.name,
            is_backed_up=passkey.is_backed_up,
            created_at=passkey.created_at,
            used_at=passkey.used_at,
        )

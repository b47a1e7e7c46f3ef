"""Bodies of requests and answers about credentials."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from services.gateway.credentials.passwords import MAX_LENGTH

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

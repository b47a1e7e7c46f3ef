"""Bodies of requests and answers about signing in."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.credentials.schemas import CodeText, PasskeyAnswer, PasswordText
from services.gateway.people.schemas import LinkSecret, Login, PersonName
from services.gateway.sessions.schemas import CurrentSession

DeviceKind = Literal["browser", "command-line"]


class _Secretive(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class SignInBody(_Secretive):
    """A login and a password; the code, once the answer has asked for it."""

    login: Login
    password: PasswordText
    code: CodeText | None = Field(None, description="A one-time code, or a recovery code.")
    device: DeviceKind = "browser"


class PasskeySignIn(PasskeyAnswer):
    """A challenge that a passkey has signed."""

    device: DeviceKind = "browser"


class LinkBody(_Secretive):
    """The secret of a link: what stands behind its number sign."""

    secret: LinkSecret


class LinkView(BaseModel):
    """What a link is for."""

    tenant: str
    role: str
    login: str | None
    is_reset: bool
    created_by: str
    expires_at: datetime


class LinkAcceptance(_Secretive):
    """The account that a link creates, or the new password that it sets."""

    secret: LinkSecret
    login: Login | None = None
    name: PersonName | None = None
    password: PasswordText
    device: DeviceKind = "browser"


class SignedIn(BaseModel):
    """A session that has begun.

    `token` is set for the command line alone; a browser gets a cookie that no script reads.
    """

    session: CurrentSession
    token: str | None

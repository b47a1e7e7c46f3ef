"""A person changes the own password, turns one-time codes on and off, and rotates a key."""

import re
from collections.abc import Callable

import pytest

from services.gateway.credentials.one_time_codes import code_at
from tests.gateway.console.conftest import Browser

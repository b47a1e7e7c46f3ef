"""Whose fault an error of PostgreSQL is: the server's, this program's, or the value's.

Source: PostgreSQL 18, Appendix A, "PostgreSQL Error Codes". The first two characters are the class.
"""

from typing import Final

import psycopg

_TRANSIENT_CLASSES: Final = frozenset({"08", "40", "53", "55", "57", "58"})
"""Connection, rollback, resources, objects in use, operators, the system around PostgreSQL."""
_TRANSIENT: Final = frozenset({"25006", "25P03", "25P04"})
"""A read-only server (a failover is under way), and sessions that were silent for too long."""
_VALUE_CLASSES: Final = frozenset({"22", "23", "54"})
"""Data, constraints, and values that exceed a limit, such as that of an index."""
_NOT_NULL: Final = "23502"
_PRIVILEGE: Final = "42501"


def is_transient_error(error: BaseException) -> bool:
    """Whether the same statement may succeed later: the server or the way to it is at fault."""
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate in _TRANSIENT or error.sqlstate[:2] in _TRANSIENT_CLASSES


def blames_value(error: BaseException) -> bool:
    """Whether a value in the statement is at fault, so that it fails wherever it is tried.

    A missing value is not: only a program that does not know a new column leaves one out.
    """
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.DataError)
    if error.sqlstate == _PRIVILEGE:
        # Row-level security refuses a row; otherwise the service lacks a grant.
        return "row-level security" in str(error)
    return error.sqlstate[:2] in _VALUE_CLASSES and error.sqlstate != _NOT_NULL

"""Logins of services: each may take the role of its own service, and has no other right."""

from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from shared.database import role_name
from shared.errors import InvalidInput
from shared.postgres.conninfo import MIGRATION_LIMITS, connection_parameters

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtext('sentineliq.migrations'))"
_ATTRIBUTES: Final = (
    "SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication "
    "FROM pg_roles WHERE rolname = %s"
)
_MEMBERSHIPS: Final = (
    "SELECT roles.rolname FROM pg_auth_members members "
    "JOIN pg_roles roles ON roles.oid = members.roleid "
    "JOIN pg_roles logins ON logins.oid = members.member "
    "WHERE logins.rolname = %s AND roles.rolname <> %s ORDER BY 1"
)
_OWNED: Final = (
    "SELECT count(*) FROM pg_class JOIN pg_roles ON pg_roles.oid = relowner WHERE rolname = %s"
)

_SHARE: Final = 3
"""A login takes at most this part of the server's connections, so that others get some."""


def make_login(service: str, admin_url: str, login_url: str) -> None:
    """Make a service's login, or renew its password; repeating it changes nothing else.

    Args:
        service: the service, whose role is there.
        admin_url: libpq URL of the login that migrates.
        login_url: libpq URL that the service's processes use: it names the login and its password.

    Raises:
        InvalidInput: the URL names no login of the service's own, or one that may do more.
        psycopg.Error: the server does not answer, or the login that migrates may not make others.
    """
    name, password = _credentials(login_url)
    parameters = connection_parameters(admin_url, "sentineliq-migrate", MIGRATION_LIMITS)
    with psycopg.connect(**parameters) as connection, connection.transaction():
        if name == connection.info.user:
            raise InvalidInput(
                f"SENTINELIQ_SERVICE_DATABASE_URL names {name}, the login that migrates: give "
                f"{service} a login of its own."
            )
        # Roles belong to the whole cluster: services that migrate side by side take turns.
        connection.execute(_LOCK)
        before = connection.execute(_ATTRIBUTES, (name,)).fetchone()
        if before is not None:
            _refuse_rights(connection, service, name, is_powerful=before[0])
        verb = sql.SQL("CREATE" if before is None else "ALTER")
        connection.execute(
            sql.SQL("{} ROLE {} LOGIN NOINHERIT CONNECTION LIMIT {} PASSWORD {}").format(
                verb,
                sql.Identifier(name),
                sql.Literal(_connection_limit(connection)),
                sql.Literal(encrypted_password(connection, name, password)),
            )
        )
        grant = sql.SQL("GRANT {} TO {}")
        role = sql.Identifier(role_name(service))
        connection.execute(grant.format(role, sql.Identifier(name)))


def drop_login(admin_url: str, name: str) -> None:
    """Drop a login, and end its sessions; one that does not exist is no error.

    Args:
        admin_url: libpq URL of the login that migrates.
        name: the login.

    Raises:
        psycopg.Error: the server does not answer, or the login owns something.
    """
    parameters = connection_parameters(admin_url, "sentineliq-migrate", MIGRATION_LIMITS)
    with psycopg.connect(**parameters) as connection:
        if connection.execute(_ATTRIBUTES, (name,)).fetchone() is None:
            return
        # Nobody can log in anew before the sessions end.
        connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(name)))
        connection.commit()
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
            (name,),
        )
        connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def encrypted_password(connection: psycopg.Connection[Any], name: str, password: str) -> str:
    """Return what the server stores of a password, which itself would stand in its log."""
    encrypted = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    )
    return encrypted.decode()


def _connection_limit(connection: psycopg.Connection[Any]) -> int:
    """Connections that one login may have at a time."""
    row = connection.execute("SELECT current_setting('max_connections')::int").fetchone()
    assert row is not None  # noqa: S101  # a SELECT without FROM has one row
    return max(1, int(row[0]) // _SHARE)


def _credentials(url: str) -> tuple[str, str]:
    parameters = conninfo_to_dict(url)
    name = parameters.get("user")
    password = parameters.get("password")
    if not name or not password:
        raise InvalidInput("SENTINELIQ_SERVICE_DATABASE_URL needs a user and a password.")
    return str(name), str(password)


def _refuse_rights(
    connection: psycopg.Connection[Any], service: str, name: str, *, is_powerful: bool
) -> None:
    """Refuse a login that may do more than the service needs: it is made for something else."""
    roles = [row[0] for row in connection.execute(_MEMBERSHIPS, (name, role_name(service)))]
    owned = connection.execute(_OWNED, (name,)).fetchone()
    if is_powerful or roles or (owned and owned[0]):
        rights = f"is a member of {', '.join(roles)}" if roles else "has rights of its own"
        raise InvalidInput(
            f"The login {name} {rights}: a service's login may take the service's role and no "
            "more. Choose another name in SENTINELIQ_SERVICE_DATABASE_URL."
        )
